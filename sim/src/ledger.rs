//! The ledger: which numbers of a partition were received, written before they are acknowledged.
//!
//! A worker may die at any instant. Dead before the write, its messages are delivered again;
//! dead after it, they are in the ledger. So an acknowledged number is always in the ledger, and
//! one that is not was lost. Two owners racing for a partition meet in the compare-and-set of the
//! bucket: the slower one reads again and merges.

use std::time::Duration;

use async_nats::jetstream::kv;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::intervals::Intervals;
use crate::names;

/// Writers whose last batch an entry remembers. More than ever race for one partition.
const WRITERS: usize = 4;
const RETRY: Duration = Duration::from_millis(100);

/// What is known of one partition, over all its owners.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The numbers that were processed.
    pub received: Intervals,
    /// Messages that were processed although their number was in the ledger already.
    pub duplicated: u64,
    /// Messages that the server delivered more than once.
    pub redelivered: u64,
    /// Messages that were processed after one of a higher number, and for the first time.
    #[serde(default)]
    pub out_of_order: u64,
    /// The last batch of the latest writers: a write whose answer was lost is known again.
    #[serde(default)]
    latest: Vec<(String, u64)>,
}

/// Messages that one worker processed and now writes down together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The numbers processed, in the order in which they were.
    pub numbers: Vec<u64>,
    /// How many of them the server had delivered before.
    pub redelivered: u64,
}

impl Entry {
    /// Writes down a batch; false if this very batch is in the entry already.
    pub fn record(&mut self, writer: &str, batch_number: u64, batch: &Batch) -> bool {
        if self
            .latest
            .iter()
            .any(|(of, last)| of == writer && *last >= batch_number)
        {
            return false;
        }
        for &number in &batch.numbers {
            let late = self.received.highest() > Some(number);
            if !self.received.insert(number) {
                self.duplicated += 1;
            } else if late {
                self.out_of_order += 1;
            }
        }
        self.redelivered += batch.redelivered;
        self.latest.retain(|(of, _)| of != writer);
        self.latest.push((writer.to_owned(), batch_number));
        if self.latest.len() > WRITERS {
            self.latest.remove(0);
        }
        true
    }
}

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The bucket did not answer.
    #[error("failed to read the ledger: {0}")]
    Read(#[from] kv::EntryError),
    /// What it holds is not an entry.
    #[error("failed to decode the ledger's entry: {0}")]
    Decode(#[from] serde_json::Error),
}

/// The entry of one partition as last seen, with its revision; 0 if there is none.
pub async fn read(store: &kv::Store, partition: u32) -> Result<(Entry, u64), LedgerError> {
    match store.entry(names::durable(partition)).await? {
        Some(found) if found.operation == kv::Operation::Put => {
            Ok((serde_json::from_slice(&found.value)?, found.revision))
        }
        Some(deleted) => Ok((Entry::default(), deleted.revision)),
        None => Ok((Entry::default(), 0)),
    }
}

/// One writer's hand in the ledger of one partition.
#[derive(Debug)]
pub struct Pen {
    store: kv::Store,
    partition: u32,
    writer: String,
    batches: u64,
    entry: Entry,
    revision: u64,
}

impl Pen {
    /// Opens the ledger of a partition. `writer` names this process and this binding, uniquely.
    pub async fn open(
        store: &kv::Store,
        partition: u32,
        writer: String,
    ) -> Result<Self, LedgerError> {
        let (entry, revision) = read(store, partition).await?;
        Ok(Self {
            store: store.clone(),
            partition,
            writer,
            batches: 0,
            entry,
            revision,
        })
    }

    /// Writes a batch down; returns only when it is in the ledger, exactly once.
    ///
    /// Give it a deadline from outside. Nothing may be acknowledged if that passes: the batch may
    /// or may not have been written.
    pub async fn write(&mut self, batch: &Batch) {
        self.batches += 1;
        loop {
            let mut next = self.entry.clone();
            if !next.record(&self.writer, self.batches, batch) {
                return;
            }
            // Numbers and strings always serialise.
            let value = serde_json::to_vec(&next).unwrap_or_default();
            match self
                .store
                .update(names::durable(self.partition), value.into(), self.revision)
                .await
            {
                Ok(revision) => {
                    self.entry = next;
                    self.revision = revision;
                    return;
                }
                Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => {}
                Err(error) => {
                    warn!(partition = self.partition, %error, "failed to write the ledger, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
            self.refresh().await;
        }
    }

    async fn refresh(&mut self) {
        loop {
            match read(&self.store, self.partition).await {
                Ok((entry, revision)) => {
                    self.entry = entry;
                    self.revision = revision;
                    return;
                }
                Err(error) => {
                    warn!(partition = self.partition, %error, "failed to read the ledger, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(numbers: &[u64]) -> Batch {
        Batch {
            numbers: numbers.to_vec(),
            redelivered: 0,
        }
    }

    #[test]
    fn a_number_processed_again_is_a_duplicate() {
        let mut entry = Entry::default();
        entry.record("a", 1, &batch(&[1, 2, 3]));
        entry.record(
            "b",
            1,
            &Batch {
                numbers: vec![3, 4],
                redelivered: 1,
            },
        );
        assert_eq!(entry.received.ranges(), [(1, 4)]);
        assert_eq!((entry.duplicated, entry.redelivered), (1, 1));
    }

    #[test]
    fn a_write_whose_answer_was_lost_counts_once() {
        let mut entry = Entry::default();
        assert!(entry.record("a", 1, &batch(&[1, 2])));
        assert!(entry.record("b", 1, &batch(&[3])));
        assert!(!entry.record("a", 1, &batch(&[1, 2])));
        assert_eq!(entry.duplicated, 0);
    }

    #[test]
    fn an_entry_stays_small_however_many_owners_it_had() {
        let mut entry = Entry::default();
        for owner in 0..200 {
            entry.record(&format!("writer-{owner}"), 1, &batch(&[owner + 1]));
        }
        assert_eq!(entry.received.ranges(), [(1, 200)]);
        assert!(serde_json::to_vec(&entry).expect("encodes").len() < 200);
    }

    proptest! {
        /// Writers race: each applies its batches to whatever is there, in any interleaving, and
        /// repeats some of them. The end is the union, and every surplus message a duplicate.
        #[test]
        fn racing_writers_lose_nothing_and_count_every_duplicate_and_latecomer(
            writes in prop::collection::vec((0usize..3, prop::collection::vec(1u64..50, 1..6), any::<bool>()), 0..40)
        ) {
            let mut entry = Entry::default();
            let mut batches = [0; 3];
            let mut messages = 0;
            let mut numbers = std::collections::BTreeSet::new();
            let mut late = 0;
            for (writer, of, again) in writes {
                batches[writer] += 1;
                messages += of.len() as u64;
                for &number in &of {
                    let behind = numbers.last().is_some_and(|&highest| highest > number);
                    late += u64::from(numbers.insert(number) && behind);
                }
                entry.record(&writer.to_string(), batches[writer], &batch(&of));
                if again {
                    prop_assert!(!entry.record(&writer.to_string(), batches[writer], &batch(&of)));
                }
            }
            prop_assert_eq!(entry.received.count(), numbers.len() as u64);
            prop_assert_eq!(entry.duplicated, messages - numbers.len() as u64);
            prop_assert_eq!(entry.out_of_order, late);
        }
    }
}
