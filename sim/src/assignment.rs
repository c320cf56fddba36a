//! Who owns which partition: one value with a version, written by the leader, obeyed by all.

mod election;
mod planner;
mod ring;

use std::collections::BTreeSet;

use async_nats::jetstream::kv;
use serde::{Deserialize, Serialize};

pub use election::lead;
pub use planner::{Planner, Timing};
pub use ring::Ring;

use crate::names;

/// The owner of every partition under one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Grows by one with every assignment; whoever has seen a higher one ignores this.
    pub version: u64,
    /// The ids that take part, even if a small number of partitions leaves one without any.
    pub members: BTreeSet<u32>,
    /// The owner of partition 0, 1, 2 and so on: exactly one each.
    pub owners: Vec<u32>,
}

impl Assignment {
    /// The assignment of `partitions` to `members`, which must not be empty, by consistent hashing.
    pub fn by_consistent_hash(version: u64, members: BTreeSet<u32>, partitions: u32) -> Self {
        let ring = Ring::of(&members);
        let owners = (0..partitions)
            .filter_map(|partition| ring.owner(partition))
            .collect();
        Self {
            version,
            members,
            owners,
        }
    }

    /// The partitions of one id, ascending.
    pub fn owned_by(&self, id: u32) -> BTreeSet<u32> {
        (0..)
            .zip(&self.owners)
            .filter(|(_, owner)| **owner == id)
            .map(|(partition, _)| partition)
            .collect()
    }
}

/// Why the assignment could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentError {
    /// The bucket did not answer.
    #[error("failed to read the assignment: {0}")]
    Read(#[from] kv::EntryError),
    /// What it holds is not an assignment.
    #[error("failed to decode the assignment: {0}")]
    Decode(#[from] serde_json::Error),
}

/// The assignment in force with its revision, if there is one.
pub async fn current(store: &kv::Store) -> Result<Option<(Assignment, u64)>, AssignmentError> {
    match store.entry(names::CURRENT).await? {
        Some(entry) if entry.operation == kv::Operation::Put => Ok(Some((
            serde_json::from_slice(&entry.value)?,
            entry.revision,
        ))),
        _ => Ok(None),
    }
}
