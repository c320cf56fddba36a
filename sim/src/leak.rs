//! Leaks that can be switched on, each the recreation of one cause that was found in the wild.
//!
//! One mode a file, and a line in the list below. Each states in which process and component it
//! leaks, on which event, and what one event costs, so that a judge can be held to it. A mode only
//! ever adds: the work that the simulation does is the same with every one of them.

mod site;
#[cfg(test)]
mod testing;

use std::time::Duration;

use clap::{Args, ValueEnum};

pub(crate) use site::Site;

use crate::args::duration;
use crate::nats::Nats;

/// Declares the modes: the name that users write, and the file that has it.
macro_rules! modes {
    ($($(#[$doc:meta])* $name:ident, $file:ident;)+) => {
        $(mod $file;)+

        /// Which leak a process has.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
        #[value(rename_all = "verbatim")]
        pub enum LeakMode {
            /// None.
            #[default]
            None,
            $($(#[$doc])* $name,)+
        }

        impl LeakMode {
            fn leak(self) -> Option<&'static Leak> {
                match self {
                    Self::None => None,
                    $(Self::$name => Some(&$file::LEAK),)+
                }
            }
        }
    };
}

modes! {
    /// A pull loop outlives each reassignment of its partition.
    OrphanedPullLoop, orphaned_pull_loop;
    /// The follower of assignments is started once more with each assignment.
    UnguardedStart, unguarded_start;
    /// Each assignment starts the pull loops of partitions that have one already.
    ConsumeLoopPerRestart, consume_loop_per_restart;
    /// A monitor stays behind for each worker that comes or goes.
    MonitorPerProcessEvent, monitor_per_process_event;
    /// Durable consumers in NATS that nobody deletes, one for each partition taken over.
    OrphanedConsumers, orphaned_consumers;
    /// The buffer of each partition taken away is kept: bytes, no tasks.
    KeptBuffers, kept_buffers;
    /// A producer's ticker is left running whenever another takes its place.
    ProducerTicker, producer_ticker;
    /// Timers of a day that nobody cancels: bytes, no tasks.
    PiledTimers, piled_timers;
    /// A task and a little memory once a minute, whatever happens.
    SlowDrip, slow_drip;
}

impl LeakMode {
    /// Whether it leaks by the clock, at a pace that can be set, and not by what happens.
    pub fn is_paced(self) -> bool {
        self.leak().is_some_and(|leak| leak.pace.is_some())
    }
}

/// The leak of a process, by flag or by environment.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Leaks {
    /// What to leak.
    #[arg(long = "leak-mode", env = "LEAK_MODE", default_value = "None")]
    pub mode: LeakMode,
    /// How often, for the modes that leak by the clock; their own pace where left out.
    #[arg(long = "leak-every", env = "LEAK_EVERY", value_parser = duration)]
    pub every: Option<Duration>,
}

/// The two processes that can leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Worker,
    Producer,
}

/// A leak: where it is, what sets it off, and what that costs.
#[derive(Debug)]
pub(crate) struct Leak {
    pub(crate) role: Role,
    /// The part of the process, as in `soak_sim_tasks_alive{component}`.
    pub(crate) component: &'static str,
    /// How often the clock sets it off, where it does.
    pub(crate) pace: Option<Duration>,
    /// Called with whatever happens: leaves something behind if this sets it off.
    pub(crate) on: fn(Event<'_>, &Site),
}

/// What happens in a process, told to its leak.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// A worker follows another assignment than before; not told of its first.
    Rebalanced,
    /// A worker with this id is new in the assignment that is followed, or is missing from it.
    MemberChanged(u32),
    /// The assignment gives this worker a partition that it did not have.
    PartitionTaken(u32, &'a Nats),
    /// The assignment leaves it a partition that it has.
    PartitionKept(u32),
    /// The assignment takes a partition away, and its pull loop has ended.
    PartitionReleased(u32),
    /// The leak's pace is over once more.
    Tick,
}
