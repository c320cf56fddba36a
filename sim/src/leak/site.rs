//! Where a leak leaves things behind, and the account of what it has left.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Event, Leak, Leaks, Role};
use crate::tasks::{Component, Tasks};

/// The leak of one process, if it has one; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Site(Option<Arc<Leaking>>);

#[derive(Debug)]
struct Leaking {
    leak: &'static Leak,
    every: Option<Duration>,
    tasks: Tasks,
    events: Counter,
    bytes: Gauge,
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Label {
    component: &'static str,
}

impl Site {
    /// The site of a process of this role. A leak of the other role is none here.
    pub(crate) fn new(leaks: Leaks, role: Role, registry: &mut Registry, tasks: &Tasks) -> Self {
        let (events, bytes) = (
            Family::<Label, Counter>::default(),
            Family::<Label, Gauge>::default(),
        );
        registry.register(
            "soak_sim_leaks",
            "Times that the leak mode has left something behind, by component",
            events.clone(),
        );
        registry.register(
            "soak_sim_leaked_bytes",
            "Memory that the leak mode has left behind, by component",
            bytes.clone(),
        );
        let leak = leaks.mode.leak().filter(|leak| leak.role == role);
        Self(leak.map(|leak| {
            let label = Label {
                component: leak.component,
            };
            Arc::new(Leaking {
                leak,
                every: leak.pace.map(|pace| leaks.every.unwrap_or(pace)),
                tasks: tasks.clone(),
                events: events.get_or_create(&label).clone(),
                bytes: bytes.get_or_create(&label).clone(),
                kept: Mutex::default(),
            })
        }))
    }

    /// Tells the leak what happened.
    pub(crate) fn tell(&self, event: Event<'_>) {
        if let Some(leaking) = &self.0 {
            (leaking.leak.on)(event, self);
        }
    }

    /// Starts the clock of a leak that goes by it; none for any other.
    pub(crate) async fn start_clock(&self) -> Option<Component> {
        let leaking = self.0.as_ref()?;
        let every = leaking.every?;
        let clock = leaking.tasks.component("leak");
        let site = self.clone();
        let work = |stop: CancellationToken| async move {
            let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => site.tell(Event::Tick),
                }
            }
        };
        clock.start("tick", work).await;
        Some(clock)
    }

    /// Events so far.
    #[cfg(test)]
    pub(super) fn events(&self) -> u64 {
        self.0.as_ref().map_or(0, |leaking| leaking.events.get())
    }

    /// Memory left behind that is still there.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> i64 {
        self.0.as_ref().map_or(0, |leaking| leaking.bytes.get())
    }

    /// One event: leaves a task that is awaited by nobody, with this much memory.
    pub(super) fn leave_task<F>(&self, name: String, bytes: usize, work: F)
    where
        F: Future + Send + 'static,
    {
        if let Some(leaking) = &self.0 {
            let held = leaking.hold(bytes);
            leaking
                .tasks
                .let_go(leaking.leak.component, name, async move {
                    work.await;
                    drop(held);
                });
        }
    }

    /// One event: keeps something for good, with this much memory.
    pub(super) fn keep(&self, bytes: usize, what: impl Send + 'static) {
        if let Some(leaking) = &self.0 {
            let held = leaking.hold(bytes);
            leaking
                .kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Box::new((what, held)));
        }
    }
}

impl Leaking {
    fn hold(&self, bytes: usize) -> Held {
        self.events.inc();
        self.bytes.inc_by(i64::try_from(bytes).unwrap_or(i64::MAX));
        Held {
            // Written to, so that it is resident and not only reserved.
            buffer: black_box(vec![0xA5; bytes]),
            bytes: self.bytes.clone(),
        }
    }
}

/// Memory on account for as long as it exists.
struct Held {
    buffer: Vec<u8>,
    bytes: Gauge,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.buffer.len())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let freed = i64::try_from(self.buffer.len()).unwrap_or(i64::MAX);
        self.bytes.dec_by(freed);
    }
}
