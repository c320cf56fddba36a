//! The names of everything in NATS: the one place where streams, buckets and keys are spelled.

/// The stream of all numbered messages.
pub const STREAM: &str = "SOAK";
/// Its subjects.
pub const SUBJECTS: &str = "soak.partition.*";
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

/// The subject of a partition.
pub fn subject(partition: u32) -> String {
    format!("soak.partition.{partition}")
}

/// The partition of a subject.
pub fn partition_of(subject: &str) -> Option<u32> {
    subject.strip_prefix("soak.partition.")?.parse().ok()
}

/// The durable consumer of a partition, and its key in the ledger.
pub fn durable(partition: u32) -> String {
    format!("p-{partition}")
}

/// The partition of a durable consumer or ledger key.
pub fn partition_of_durable(name: &str) -> Option<u32> {
    name.strip_prefix("p-")?.parse().ok()
}
