//! What grew in tasks and in bytes, where the criteria are about both.

use soak_api::verdict::{self, Amount, Footprint, FootprintRow, Interval, Measured, Source};
use soak_api::{Signal, SoakTest};

use super::signals::Signals;
use crate::aside::aside;

/// So many components are told of, as many as the status holds.
const MOST: usize = 16;

/// A name of a part is no longer, in characters.
const LONGEST_NAME: usize = 253;

/// The footprints, from what has been asked for anyway; none where a criterion about tasks or one about memory is
/// missing, or where either has no data.
pub(super) async fn footprints(signals: &mut Signals<'_>) -> Result<Vec<Footprint>, String> {
    let measures = |signal| measures(signals.test, signal);
    if !(measures(Signal::Tasks) && measures(Signal::Memory)) {
        return Ok(Vec::new());
    }
    let mut run = async |signal| {
        let usable = signals.of(&Measured::Signal(signal)).await;
        usable.map_err(|error| error.to_string())
    };
    let (Ok(tasks), Ok(memory)) = (run(Signal::Tasks).await?, run(Signal::Memory).await?) else {
        return Ok(Vec::new());
    };
    let found = aside(move || verdict::footprints(&tasks, &memory)).await?;
    Ok(found.iter().take(MOST).map(short).collect())
}

fn measures(test: &SoakTest, signal: Signal) -> bool {
    let kinds = test.spec.criteria.iter().filter_map(|one| one.kind().ok());
    kinds
        .into_iter()
        .any(|kind| matches!(kind.source(), Source::Pods(Measured::Signal(of)) if *of == signal))
}

/// Six digits of each number, which nobody can tell from more, and names that the API server takes.
fn short(footprint: &Footprint) -> Footprint {
    Footprint {
        component: footprint.component.clone(),
        total: short_row(&footprint.total),
        parts: footprint.parts.iter().map(short_row).collect(),
    }
}

fn short_row(row: &FootprintRow) -> FootprintRow {
    FootprintRow {
        name: row.name.chars().take(LONGEST_NAME).collect(),
        tasks: short_amount(row.tasks),
        bytes: row.bytes.map(short_amount),
        bytes_per_task: row.bytes_per_task.map(short_amount),
        shared_out: row.shared_out,
    }
}

fn short_amount(amount: Amount) -> Amount {
    Amount {
        estimate: six_digits(amount.estimate),
        interval: amount.interval.map(|Interval { low, high }| Interval {
            low: six_digits(low),
            high: six_digits(high),
        }),
    }
}

fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judge::testing::{WORKERS, observation, series, serve, test};
    use crate::prometheus::Series;

    /// Two workers that gain three tasks a minute, of 4 KiB each.
    fn leaking(query: &str) -> Vec<Series> {
        let grown = |labels: &[(&str, &str)], level: f64, each: f64| {
            let mut series = series(labels, level);
            for sample in &mut series.samples {
                sample.v += each * (sample.t - 1_800_000_000.0) / 20.0;
            }
            series
        };
        let of = |pod| {
            if query.contains("process_resident_memory_bytes") {
                vec![grown(&[("pod", pod)], 8e6, 4_096.0)]
            } else {
                vec![
                    grown(&[("pod", pod), ("component", "consume")], 20.0, 1.0),
                    grown(&[("pod", pod), ("component", "core")], 5.0, 0.0),
                ]
            }
        };
        WORKERS.into_iter().flat_map(of).collect()
    }

    async fn found(criteria: serde_json::Value) -> (Vec<Footprint>, usize) {
        let (prometheus, asked) = serve(leaking).await;
        let mut test = test();
        test.spec.criteria = serde_json::from_value(criteria).expect("criteria");
        let observation = observation(&test);
        let mut signals = Signals::new(&test, &observation, &prometheus);
        let found = footprints(&mut signals).await.expect("an answer");
        let asked = asked.lock().expect("no panic").len();
        (found, asked)
    }

    #[tokio::test]
    async fn criteria_about_tasks_and_memory_tell_what_grew_in_both() {
        for tasks in [
            json!({"name": "a", "growth": {"signal": "Tasks", "maxPercent": 5}}),
            json!({"name": "a", "trend": {"signal": "Tasks", "maxPercent": 5}}),
            json!({"name": "a", "delta": {"signal": "Tasks", "within": 5}}),
        ] {
            let memory = json!({"name": "b", "growth": {"signal": "Memory", "maxPercent": 5}});
            let (found, _) = found(json!([tasks, memory])).await;
            let worker = &found[0];
            assert_eq!(worker.component, "worker");
            // Two pods, ten minutes.
            assert!(
                (worker.total.tasks.estimate - 60.0).abs() < 1e-9,
                "{worker:?}"
            );
            let per_task = worker.total.bytes_per_task.expect("a ratio");
            assert!((per_task.estimate - 4_096.0).abs() < 1e-9, "{per_task:?}");
            assert_eq!(worker.parts[0].name, "consume");
            assert!(worker.parts[0].shared_out);
        }
    }

    #[tokio::test]
    async fn criteria_about_one_of_both_ask_for_nothing_more() {
        let tasks = json!({"name": "a", "growth": {"signal": "Tasks", "maxPercent": 5}});
        let query = json!({"name": "b", "growth": {"query": "go_goroutines", "maxPercent": 5}});
        assert_eq!(found(json!([tasks, query])).await, (Vec::new(), 0));
    }

    #[test]
    fn numbers_are_as_long_as_anybody_reads_them() {
        for (long, short) in [
            (1_234_567.89, "1234570"),
            (-0.123_456_789, "-0.123457"),
            (0.0, "0"),
        ] {
            assert_eq!(six_digits(long).to_string(), short);
        }
    }
}
