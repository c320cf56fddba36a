//! How long a rebalance takes in one worker: until all that it brings is taken up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use prometheus_client::metrics::histogram::Histogram;

/// A rebalance under way; over when the last clone is gone.
#[derive(Clone, Debug)]
pub(super) struct Rebalance(Arc<UnderWay>);

#[derive(Debug)]
struct UnderWay {
    since: SystemTime,
    durations: Histogram,
    overtaken: AtomicBool,
}

impl Rebalance {
    /// A rebalance by an assignment that was written then.
    pub(super) fn new(since: SystemTime, durations: Histogram) -> Self {
        Self(Arc::new(UnderWay {
            since,
            durations,
            overtaken: AtomicBool::new(false),
        }))
    }

    /// It will never be over: the next one has taken away what this one brought.
    pub(super) fn overtaken(&self) {
        self.0.overtaken.store(true, Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !*self.overtaken.get_mut() {
            // Zero if the clocks of server and worker disagree.
            let taken = self.since.elapsed().unwrap_or_default();
            self.durations.observe(taken.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::telemetry::latency;

    fn observed(registry: &Registry) -> usize {
        let mut text = String::new();
        encode(&mut text, registry).expect("encodes");
        let line = text.lines().find_map(|line| line.strip_prefix("d_count "));
        line.expect("a count").parse().expect("a number")
    }

    #[test]
    fn it_is_over_once_everything_is_taken_up_and_never_if_it_is_overtaken() {
        let mut registry = Registry::default();
        let durations = latency(&mut registry, "d", "D");
        let rebalance = Rebalance::new(SystemTime::now(), durations.clone());
        let partitions = [rebalance.clone(), rebalance.clone()];
        drop(rebalance);
        assert_eq!(observed(&registry), 0);
        drop(partitions);
        assert_eq!(observed(&registry), 1);
        let next = Rebalance::new(SystemTime::now(), durations);
        next.clone().overtaken();
        drop(next);
        assert_eq!(observed(&registry), 1);
    }
}
