//! Leaks that can be switched on, each the recreation of one cause that was found in the wild.
//!
//! One mode a file; each states what one event costs, so that a judge can be held to it.

pub(crate) mod orphaned_pull_loop;

use clap::ValueEnum;

/// Which leak a worker has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LeakMode {
    /// None.
    #[default]
    #[value(name = "None")]
    None,
    /// A pull loop outlives each reassignment of its partition.
    #[value(name = "OrphanedPullLoop")]
    OrphanedPullLoop,
}
