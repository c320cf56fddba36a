//! What was measured, with as few points as an eye needs, to be kept when Prometheus has long forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::aside::aside;
use minmaxlttb::{Binning, Point, lttb};
use soak_api::verdict::{IncarnationSeries, Measured, Run, Sample, Source};
use soak_api::{Chart, CriterionKind, Line, Signal};

/// How many points all charts of a soak have together.
const POINTS: usize = 40_000;

/// What a line is worth at least; one of fewer points has what it has.
const LEAST: usize = 4;

/// What criteria were judged on, each once however many criteria are about it.
pub(super) struct Charts {
    all: Vec<Chart>,
    /// How many points each has at most.
    share: usize,
    /// Seconds are counted from here.
    origin: f64,
}

impl Charts {
    /// None yet, for so many criteria.
    pub(super) fn of(criteria: usize, origin: f64) -> Self {
        let share = POINTS / criteria.max(1);
        let all = Vec::new();
        Self { all, share, origin }
    }

    pub(super) fn into_inner(self) -> Vec<Chart> {
        self.all
    }

    /// Draws what a criterion was judged on. Nothing hangs on it: what cannot be drawn is left out.
    pub(super) async fn add(&mut self, criterion: &str, kind: &CriterionKind, run: &Arc<Run>) {
        let (of, unit) = match kind.source() {
            Source::Pods(Measured::Signal(Signal::Tasks)) => ("Tasks", "tasks"),
            Source::Pods(Measured::Signal(Signal::Memory)) => ("Memory", "bytes"),
            Source::Pods(Measured::Query(query)) => (query.as_str(), ""),
            Source::Counter(query) | Source::Query(query) => (query, ""),
            Source::Events => return,
        };
        if let Some(chart) = self.all.iter_mut().find(|chart| chart.of == of) {
            chart.criteria.push(criterion.to_owned());
            return;
        }
        let mut chart = Chart {
            criteria: vec![criterion.to_owned()],
            of: of.to_owned(),
            unit: unit.to_owned(),
            ..Chart::default()
        };
        let (run, share, origin) = (run.clone(), self.share, self.origin);
        let drawn = aside(move || {
            chart.not_shown = draw(&mut chart, lines(&run), share, origin);
            chart
        });
        self.all.extend(drawn.await);
    }
}

/// A line before it is thinned out.
struct Whole {
    line: Line,
    samples: Vec<Sample>,
}

/// The series of each incarnation added up at each scrape.
fn lines(run: &Run) -> Vec<Whole> {
    let mut all: BTreeMap<(String, String, u32), BTreeMap<u64, f64>> = BTreeMap::new();
    for series in &run.series {
        let key = (series.component.clone(), name(series), series.incarnation);
        let sums = all.entry(key).or_default();
        for sample in series
            .samples
            .iter()
            .filter(|sample| sample.v.is_finite() && sample.t >= 0.0)
        {
            // Bits of numbers that are not negative sort as the numbers do.
            *sums.entry(sample.t.to_bits()).or_default() += sample.v;
        }
    }
    all.into_iter()
        .filter(|(_, sums)| !sums.is_empty())
        .map(|((component, name, incarnation), sums)| Whole {
            line: Line {
                component,
                name,
                incarnation,
                ..Line::default()
            },
            samples: sums
                .into_iter()
                .map(|(t, v)| Sample {
                    t: f64::from_bits(t),
                    v,
                })
                .collect(),
        })
        .collect()
}

/// The pod; of a series of an expression, which may have several of a pod or be about none, what its labels say.
fn name(series: &IncarnationSeries) -> String {
    if !series.component.is_empty() {
        return series.pod.clone();
    }
    let labels = series.labels.iter().filter(|(name, _)| *name != "__name__");
    let labels: Vec<_> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    labels.join(", ")
}

/// Draws as many lines as there are points for, the longest first, each with its share; the answer is how many are left out.
fn draw(chart: &mut Chart, mut lines: Vec<Whole>, points: usize, origin: f64) -> u32 {
    lines.sort_by_key(|whole| std::cmp::Reverse(whole.samples.len()));
    let shown = lines.len().min(points / LEAST);
    let left_out = lines.len() - shown;
    lines.truncate(shown);
    let total: usize = lines.iter().map(|whole| whole.samples.len()).sum();
    let spare = points.saturating_sub(shown * LEAST);
    for Whole { mut line, samples } in lines {
        let most = LEAST + spare * samples.len() / total.max(1);
        for Sample { t, v } in thinned(&samples, most) {
            line.seconds.push(((t - origin) * 10.0).round() / 10.0);
            line.values.push(short(v));
        }
        chart.lines.push(line);
    }
    // As people look for them.
    chart.lines.sort_by(|a, b| {
        let key = |line: &Line| (line.component.clone(), line.name.clone(), line.incarnation);
        key(a).cmp(&key(b))
    });
    u32::try_from(left_out).unwrap_or(u32::MAX)
}

/// The samples that keep the line's shape (Steinarsson, Downsampling Time Series for Visual Representation, 2013).
fn thinned(samples: &[Sample], most: usize) -> Vec<Sample> {
    let points: Vec<_> = samples
        .iter()
        .map(|sample| Point::new(sample.t, sample.v))
        .collect();
    match lttb(&points, most, Binning::ByCount) {
        Ok(kept) => kept
            .iter()
            .map(|point| Sample {
                t: point.x(),
                v: point.y(),
            })
            .collect(),
        // There are no more than that.
        Err(_) => samples.to_vec(),
    }
}

/// Four digits: nobody sees more.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use soak_api::Criterion;

    use super::*;
    use crate::judge::testing::{observation, test};

    const ORIGIN: f64 = 1_000.0;

    fn kind(criterion: serde_json::Value) -> CriterionKind {
        let criterion: Criterion = serde_json::from_value(criterion).expect("a criterion");
        criterion.kind().expect("a kind")
    }

    fn tasks(name: &str) -> CriterionKind {
        kind(json!({"name": name, "growth": {"signal": "Tasks", "maxPercent": 5}}))
    }

    fn series(pod: usize, part: &str, samples: u32) -> IncarnationSeries {
        IncarnationSeries {
            component: "worker".to_owned(),
            pod: format!("demo-worker-{pod}"),
            incarnation: 1,
            started_at: 0.0,
            ended_at: None,
            labels: [("component".to_owned(), part.to_owned())].into(),
            samples: (0..samples)
                .map(|i| Sample {
                    t: 1_000.0 + f64::from(i) * 5.0,
                    v: f64::from(i % 100),
                })
                .collect(),
        }
    }

    fn run(series: Vec<IncarnationSeries>) -> Arc<Run> {
        let test = test();
        let mut run = observation(&test).run(&test);
        run.series = series;
        Arc::new(run)
    }

    #[tokio::test]
    async fn parts_of_an_incarnation_are_one_line_and_criteria_about_the_same_are_one_chart() {
        let run = run(vec![
            series(1, "consume", 3),
            series(1, "core", 3),
            series(2, "core", 3),
        ]);
        let mut all = Charts::of(2, ORIGIN);
        all.add("tasks", &tasks("tasks"), &run).await;
        all.add("again", &tasks("again"), &run).await;
        let charts = all.into_inner();
        let [chart] = charts.as_slice() else {
            panic!("{charts:?}")
        };
        assert_eq!(chart.criteria, ["tasks", "again"]);
        assert_eq!((chart.of.as_str(), chart.unit.as_str()), ("Tasks", "tasks"));
        let [first, second] = chart.lines.as_slice() else {
            panic!("{chart:?}")
        };
        assert_eq!(first.seconds, [0.0, 5.0, 10.0]);
        assert_eq!(first.values, [0.0, 2.0, 4.0]);
        assert_eq!(second.values, [0.0, 1.0, 2.0]);
    }

    #[tokio::test]
    async fn three_days_of_a_hundred_pods_keep_their_shape_in_as_many_points_as_there_are() {
        // Each pod is killed every two hours: 3 600 incarnations of 480 samples.
        let run = run((0..3_600).map(|pod| series(pod, "consume", 480)).collect());
        let mut all = Charts::of(2, ORIGIN);
        all.add("tasks", &tasks("tasks"), &run).await;
        let memory = kind(json!({"name": "m", "growth": {"signal": "Memory", "maxPercent": 5}}));
        all.add("memory", &memory, &run).await;
        let charts = all.into_inner();
        let points =
            |chart: &Chart| -> usize { chart.lines.iter().map(|line| line.values.len()).sum() };
        let drawn: usize = charts.iter().map(points).sum();
        assert!(drawn <= POINTS, "{drawn}");
        for chart in &charts {
            assert_eq!((chart.lines.len(), chart.not_shown), (3_600, 0));
            for line in &chart.lines {
                assert_eq!(line.seconds.first(), Some(&0.0));
                assert_eq!(line.seconds.last(), Some(&(479.0 * 5.0)));
            }
        }
    }

    #[tokio::test]
    async fn what_is_about_no_pod_is_named_by_its_labels() {
        let mut one = series(1, "consume", 2);
        (one.component, one.pod) = (String::new(), String::new());
        let mut all = Charts::of(2, ORIGIN);
        let threshold = kind(json!({"name": "l", "threshold": {"query": "latency", "max": 0.1}}));
        all.add("latency", &threshold, &run(vec![one])).await;
        let charts = all.into_inner();
        assert_eq!(charts[0].lines[0].name, "component=consume");
        assert_eq!(charts[0].of, "latency");
    }

    #[test]
    fn four_digits_are_kept_of_a_value() {
        assert_eq!(short(335_123_456.0).to_bits(), 335_100_000.0_f64.to_bits());
        assert_eq!(short(0.0).to_bits(), 0.0_f64.to_bits());
    }
}
