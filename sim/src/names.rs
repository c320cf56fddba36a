//! The names of everything in NATS: the one place where streams, buckets and keys are spelled.

use std::ops::Range;

/// The most streams. To find the next message of a partition the server passes over the messages
/// in between of all others in its stream: the more streams, the less a message costs to consume.
/// But of each the server keeps the block it writes to in memory, up to 8 MiB.
const STREAMS: u32 = 24;

/// Bucket of the received intervals: key `p-<partition>`, value [`crate::ledger::Entry`] as JSON.
pub const LEDGER: &str = "ledger";
/// Bucket of what the operator asks for.
pub const CONTROL: &str = "control";
/// Key in [`CONTROL`] whose presence, with any value, ends publishing.
pub const DRAIN: &str = "drain";
/// Bucket of the stable ids that are held and of the leader; entries die unless renewed.
pub const CLAIMS: &str = "claims";
/// Key in [`CLAIMS`] that the leader holds.
pub const LEADER: &str = "leader";
/// Bucket of the assignment.
pub const ASSIGNMENT: &str = "assignment";
/// Key in [`ASSIGNMENT`] of the assignment in force.
pub const CURRENT: &str = "current";

/// The numbers of the streams that so many partitions lie in.
pub fn streams(partitions: u32) -> Range<u32> {
    0..partitions.min(STREAMS)
}

/// The number of the one stream that a partition lies in.
pub fn stream_of(partition: u32) -> u32 {
    partition % STREAMS
}

/// The stream with this number.
pub fn stream(number: u32) -> String {
    format!("SOAK-{number}")
}

/// The number of a stream; none if it is not one of messages.
pub fn number_of_stream(name: &str) -> Option<u32> {
    name.strip_prefix("SOAK-")?.parse().ok()
}

/// The subjects of all partitions in the stream with this number, and of no other.
pub fn subjects(stream: u32) -> String {
    format!("soak.{stream}.*")
}

/// The subject of a partition.
pub fn subject(partition: u32) -> String {
    format!("soak.{}.{partition}", stream_of(partition))
}

/// The partition of a subject.
pub fn partition_of(subject: &str) -> Option<u32> {
    let (_, partition) = subject.strip_prefix("soak.")?.split_once('.')?;
    partition.parse().ok()
}

/// The durable consumer of a partition, and its key in the ledger.
pub fn durable(partition: u32) -> String {
    format!("p-{partition}")
}

/// The partition of a durable consumer or ledger key.
pub fn partition_of_durable(name: &str) -> Option<u32> {
    name.strip_prefix("p-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a stream with these subjects stores, by the server's own rule for `*`: one token.
    fn takes(subjects: &str, subject: &str) -> bool {
        let (pattern, of): (Vec<_>, Vec<_>) =
            (subjects.split('.').collect(), subject.split('.').collect());
        pattern.len() == of.len() && pattern.iter().zip(&of).all(|(p, t)| *p == "*" || p == t)
    }

    #[test]
    fn each_partition_lies_in_exactly_one_stream_which_is_the_one_that_takes_its_subject() {
        for partitions in [1, 23, 24, 25, 1500] {
            for partition in 0..partitions {
                let taken_by: Vec<u32> = streams(partitions)
                    .filter(|stream| takes(&subjects(*stream), &subject(partition)))
                    .collect();
                assert_eq!(taken_by, [stream_of(partition)], "{partition}");
            }
        }
    }

    #[test]
    fn no_stream_is_without_a_partition_and_their_numbers_differ_by_one_at_most() {
        for partitions in [1, 23, 24, 25, 1500] {
            let in_stream = |stream| (0..partitions).filter(|p| stream_of(*p) == stream).count();
            let counts: BTreeSet<usize> = streams(partitions).map(in_stream).collect();
            let (least, most) = (counts.first().copied(), counts.last().copied());
            assert!(least >= Some(1) && most <= least.map(|least| least + 1));
        }
    }

    #[test]
    fn names_read_back() {
        for partition in [0, 23, 24, 1499] {
            assert_eq!(partition_of(&subject(partition)), Some(partition));
            assert_eq!(partition_of_durable(&durable(partition)), Some(partition));
            assert_eq!(number_of_stream(&stream(partition)), Some(partition));
        }
        assert_eq!(number_of_stream("KV_ledger"), None);
        assert_eq!(partition_of("$KV.ledger.p-3"), None);
    }
}
