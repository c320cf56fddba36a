//! What a process tells of itself, by the names of its metrics.

use std::collections::BTreeSet;

/// Something that every process of a kind has, that comes and goes, and that leaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gauge {
    /// What a criterion about it is called.
    pub(super) name: &'static str,
    /// The metric.
    pub(super) metric: &'static str,
}

/// A runtime that is known by a metric that all of its programs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Runtime {
    pub(super) name: &'static str,
    /// What it runs at the same time.
    pub(super) tasks: Gauge,
}

const fn runtime(name: &'static str, tasks: &'static str, metric: &'static str) -> Runtime {
    Runtime {
        name,
        tasks: Gauge {
            name: tasks,
            metric,
        },
    }
}

/// By the client libraries of Prometheus, and Micrometer.
const RUNTIMES: [Runtime; 7] = [
    runtime("Go", "goroutines", "go_goroutines"),
    runtime("the JVM", "threads", "jvm_threads_live_threads"),
    runtime("the JVM", "threads", "jvm_threads_current"),
    runtime("Node.js", "handles", "nodejs_active_handles_total"),
    runtime(".NET", "threads", "dotnet_threadpool_num_threads"),
    runtime("Erlang", "processes", "erlang_vm_process_count"),
    runtime("Ruby", "threads", "ruby_threads"),
];

/// What a process keeps in memory: what it takes of the machine, or else of its own heap.
const MEMORY: [&str; 4] = [
    RESIDENT,
    "process_working_set_bytes",
    "jvm_memory_used_bytes",
    "erlang_vm_memory_bytes_total",
];

/// The metric of `signal: Memory`.
pub(super) const RESIDENT: &str = "process_resident_memory_bytes";

/// Files, sockets and pipes that are open.
pub(super) const FILES: Gauge = Gauge {
    name: "open-files",
    metric: "process_open_fds",
};

/// The runtime that has these metrics.
pub(super) fn of(metrics: &BTreeSet<String>) -> Option<Runtime> {
    let mut known = RUNTIMES.into_iter();
    known.find(|one| metrics.contains(one.tasks.metric))
}

/// The metric of its memory.
pub(super) fn memory(metrics: &BTreeSet<String>) -> Option<&'static str> {
    MEMORY.into_iter().find(|one| metrics.contains(*one))
}

/// The names of the metrics of a text in the format that Prometheus scrapes.
pub(super) fn names(text: &str) -> BTreeSet<String> {
    let samples = text.lines().map(str::trim);
    let samples = samples.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names = samples.filter_map(|line| {
        let name = line.split(['{', ' ', '\t']).next()?;
        let value = line.rsplit(['}', ' ', '\t']).next()?;
        let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let is_one = !name.is_empty() && name.chars().all(known) && value.parse::<f64>().is_ok();
        is_one.then(|| name.to_owned())
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> (Option<&'static str>, Option<&'static str>) {
        let names = names(text);
        (of(&names).map(|one| one.name), memory(&names))
    }

    #[test]
    fn a_runtime_is_known_by_its_metrics() {
        let go = "# HELP go_goroutines Number of goroutines.\n# TYPE go_goroutines gauge\ngo_goroutines 31\nprocess_resident_memory_bytes 4.7e+07\n";
        assert_eq!(found(go), (Some("Go"), Some(RESIDENT)));
        let jvm = "jvm_threads_live_threads 22.0\njvm_memory_used_bytes{area=\"heap\",id=\"G1 Eden Space\",} 5.2428800E7\n";
        assert_eq!(found(jvm), (Some("the JVM"), Some("jvm_memory_used_bytes")));
        assert_eq!(found("nodejs_active_handles_total 4\n").0, Some("Node.js"));
        assert_eq!(
            found("http_requests_total{code=\"200\"} 4 1395066363000\n"),
            (None, None)
        );
    }

    #[test]
    fn a_web_page_has_no_metrics() {
        assert!(names("<!DOCTYPE html>\n<html lang=\"en\">\n  go_goroutines\n</html>").is_empty());
        assert!(names("# TYPE go_goroutines gauge\n").is_empty());
    }
}
