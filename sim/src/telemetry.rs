//! What a process shows of itself: metrics, and whether it is ready.

mod debug;
mod http;
mod process;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use http::{Ready, bind, serve};
pub use process::Process;

use crate::tasks::Tasks;

/// Bounds of the latency buckets in seconds: fine below the 100 ms that a healthy run keeps,
/// coarse up to the length of a takeover.
const LATENCY_BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// The registry of one process with what every process has in it.
#[derive(Debug)]
pub struct Telemetry {
    /// Where roles register their own.
    pub registry: Registry,
    /// The tasks of this process.
    pub tasks: Tasks,
    /// Whether `/readyz` says yes.
    pub ready: Ready,
}

impl Default for Telemetry {
    fn default() -> Self {
        let mut registry = Registry::default();
        let tasks = Tasks::new(&mut registry);
        registry.register_collector(Box::new(process::Process));
        Self {
            registry,
            tasks,
            ready: Ready(Arc::new(AtomicBool::new(false))),
        }
    }
}

/// Registers a counter, which is served with `_total` after its name, from 0.
pub(crate) fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

/// Registers a gauge, from 0.
pub(crate) fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// One message on its way, for as long as this exists.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl InFlight {
    /// Registers the gauge that counts them, with the same words in every process.
    pub(crate) fn register(registry: &mut Registry) -> Gauge {
        gauge(
            registry,
            "soak_sim_messages_in_flight",
            "Messages on their way: in a producer sent and not yet stored, in a worker taken up and not yet acknowledged",
        )
    }

    /// Counts one.
    pub(crate) fn one(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Registers a histogram of seconds.
pub(crate) fn latency(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::new(LATENCY_BUCKETS);
    registry.register(name, help, histogram.clone());
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_process_figures_exist_from_the_start() {
        let mut telemetry = Telemetry::default();
        counter(&mut telemetry.registry, "soak_sim_messages_lost", "Lost");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &telemetry.registry).expect("encodes");
        assert!(text.contains("soak_sim_messages_lost_total 0\n"), "{text}");
        for name in [
            "process_resident_memory_bytes ",
            "process_start_time_seconds ",
            "process_cpu_seconds_total ",
            "process_open_fds ",
        ] {
            let line = text
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_else(|| panic!("{name} in {text}"));
            let value: f64 = line[name.len()..].parse().expect("a number");
            assert!(
                value >= 0.0 && (value > 0.0 || name.contains("cpu")),
                "{line}"
            );
        }
    }
}
