//! What producers publish: a number per partition, starting at 1, without holes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One message of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// The partition, which the subject names too.
    #[serde(rename = "p")]
    pub partition: u32,
    /// Its place in the partition, from 1.
    #[serde(rename = "n")]
    pub number: u64,
    /// When it was first published, in microseconds since the epoch.
    #[serde(rename = "t")]
    pub published_micros: u64,
}

impl Numbered {
    /// A message published now.
    pub fn now(partition: u32, number: u64) -> Self {
        Self {
            partition,
            number,
            published_micros: micros_now(),
        }
    }

    /// The id by which the server refuses a second copy: the same for every retry of a number.
    pub fn id(&self) -> String {
        format!("{}-{}", self.partition, self.number)
    }

    /// The payload, of at least so many bytes.
    pub fn encode(&self, at_least: usize) -> Bytes {
        // Three integers always serialise.
        let mut payload = serde_json::to_vec(self).unwrap_or_default();
        // Blanks after a value are a part of JSON, and skipped by whoever reads it.
        payload.resize(payload.len().max(at_least), b' ');
        payload.into()
    }

    /// A payload read back.
    pub fn decode(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(payload)
    }

    /// Time since it was published; zero if the clocks of the two nodes disagree.
    pub fn age(&self) -> Duration {
        Duration::from_micros(micros_now().saturating_sub(self.published_micros))
    }
}

fn micros_now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_reads_back_with_the_id_of_its_number() {
        let message = Numbered::now(7, 42);
        assert_eq!(message.id(), "7-42");
        for at_least in [0, 50, 4_096] {
            let payload = message.encode(at_least);
            assert!(payload.len() >= at_least && payload.len() < at_least.max(64) + 1);
            assert_eq!(Numbered::decode(&payload).expect("decodes"), message);
        }
    }
}
