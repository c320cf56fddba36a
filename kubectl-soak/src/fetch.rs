//! A recording from Prometheus: the soak that somebody already ran.

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use soak_operator::prometheus::{Answer, Error, Prometheus, http_client};
use soak_verdict::{Criterion, RecordedSeries, RecordedSignal, Recording, Selector, Span};

use crate::incarnations;
use crate::instant::Instant;

/// The share of the time asked about in which there have to be samples.
const LEAST_COVERED: f64 = 0.9;

/// Into how many parts the time is split to see in how many of them there are samples.
const PARTS: f64 = 100.0;

/// A part is at least this many steps long: one missed scrape is no hole.
const STEPS_A_PART: f64 = 4.0;

/// What is asked of Prometheus.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "From Prometheus")]
pub(crate) struct Args {
    /// Where Prometheus is, such as http://prometheus.monitoring:9090
    #[arg(long, value_name = "URL", requires_all = ["query", "start"], value_parser = url)]
    prometheus: Option<String>,

    /// What was measured: one series for each pod. A plain selector is judged by its samples as they were scraped
    #[arg(long, value_name = "EXPR", requires = "prometheus")]
    query: Option<String>,

    /// The load at which growth is judged, such as the partitions that each pod owns: asked for as --query is
    #[arg(long, value_name = "EXPR", requires = "prometheus")]
    per: Option<String>,

    /// When the soak began: 2026-07-01T12:00:00Z, Unix seconds, or a time before now such as -6h
    #[arg(
        long,
        value_name = "TIME",
        requires = "prometheus",
        allow_hyphen_values = true
    )]
    start: Option<Instant>,

    /// When it ended
    #[arg(
        long,
        value_name = "TIME",
        requires = "prometheus",
        default_value = "now",
        allow_hyphen_values = true
    )]
    end: Instant,

    /// How often it was scraped; how often any other expression than a plain selector is evaluated
    #[arg(
        long,
        value_name = "DURATION",
        requires = "prometheus",
        default_value = "15s"
    )]
    step: Span,

    /// What the query measures; memory where left out and the query names bytes, else tasks
    #[arg(long, value_enum, requires = "prometheus")]
    signal: Option<Measure>,

    /// How long each pod takes to reach its steady state; not judged
    #[arg(
        long,
        value_name = "DURATION",
        requires = "prometheus",
        default_value = "10m"
    )]
    warm_up: Span,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Measure {
    Tasks,
    Memory,
}

/// Asks Prometheus. Whatever it says against its own answer, and whatever it has no samples of, becomes a gap of the
/// recording, which rules out Passed. `criteria` are what it is held to, a trend where there are none.
pub(crate) async fn fetch(args: &Args, criteria: Vec<Criterion>) -> anyhow::Result<Recording> {
    let (Some(url), Some(query), Some(start)) = (&args.prometheus, &args.query, args.start) else {
        bail!("--prometheus needs --query and --start");
    };
    let now = Timestamp::now();
    let (start, end) = (start.resolve(now)?, args.end.resolve(now)?);
    if start >= end {
        bail!("--start {start} is not before --end {end}: swap them, or leave out --end for now");
    }
    if args.step.duration().is_zero() {
        bail!("--step must be longer than nothing, such as 15s");
    }
    let plain = Selector::of(query).is_some();
    let answer = ask(args, url, query, plain, (start, end)).await?;
    let mut gaps: Vec<String> = answer.doubts().collect();
    let series = incarnations::split(answer.series).context("failed to tell pods apart")?;
    gaps.extend(hole(
        &series,
        start,
        end,
        args.step.duration().as_secs_f64(),
    ));
    let mut load = Vec::new();
    if let Some(per) = &args.per {
        let plain = Selector::of(per).is_some();
        let answer = ask(args, url, per, plain, (start, end)).await?;
        gaps.extend(
            answer
                .doubts()
                .map(|doubt| format!("{doubt} (about --per)")),
        );
        let apart = incarnations::split(answer.series);
        load = incarnations::as_split(
            &series,
            apart.context("failed to tell pods of --per apart")?,
        );
    }
    for gap in &gaps {
        eprintln!("warning: {gap}");
    }
    let recording = Recording {
        signal: match args.signal {
            Some(Measure::Tasks) => Some(RecordedSignal::Tasks),
            Some(Measure::Memory) => Some(RecordedSignal::Memory),
            None if !criteria.is_empty() => None,
            None => Some(named_in(query)),
        },
        // Scrapes keep their own distance, whatever was asked for.
        step_seconds: (!plain).then(|| args.step.duration().as_secs_f64()),
        warmup_seconds: args.warm_up.duration().as_secs_f64(),
        limit_bytes: None,
        series,
        load,
        chaos_events: Vec::new(),
        criteria,
        gaps,
    };
    Ok(match &args.per {
        Some(per) => recording.at_equal_load(per),
        None => recording,
    })
}

/// Asks from one warm-up before the start, so that pods which were up by then are judged from the start on.
async fn ask(
    args: &Args,
    url: &str,
    query: &str,
    plain: bool,
    (start, end): (Timestamp, Timestamp),
) -> anyhow::Result<Answer> {
    let warm_up = SignedDuration::try_from(args.warm_up.duration())?;
    let from = start.checked_sub(warm_up)?;
    let step = args.step.duration();
    let http = http_client().context("failed to make an HTTP client")?;
    let prometheus = Prometheus::open(url, &http)?;
    let answer = if plain {
        prometheus.raw(query, from, end, step).await
    } else {
        prometheus.range(query, from, end, step).await
    };
    answer.map_err(|error| match error {
        Error::TooLarge { .. } if plain => {
            anyhow!("{error}: give --step as short as it was scraped, so that less is asked for at a time")
        }
        Error::TooLarge { .. } => anyhow!("{error}: use a longer --step, or fewer pods"),
        error => error.into(),
    })
}

/// What there are no samples of, in plain words.
fn hole(series: &[RecordedSeries], start: Timestamp, end: Timestamp, step: f64) -> Option<String> {
    let from = start.as_second() as f64;
    let length = end.as_second() as f64 - from;
    if series.is_empty() {
        return Some(format!(
            "Prometheus has no samples from {start} to {end}: look at --query, --start and --end"
        ));
    }
    // Who scrapes less often than was said has no holes for it.
    let densest = series.iter().filter_map(distance).reduce(f64::min);
    let step = densest.map_or(step, |distance| distance.max(step));
    let parts = (length / (STEPS_A_PART * step)).clamp(1.0, PARTS).floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a hundred"
    )]
    let mut covered = vec![false; parts as usize];
    for sample in series.iter().flat_map(|series| &series.samples) {
        let part = (sample.t - from) / length * parts;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "what is not negative is rounded down, and too large an index is not there"
        )]
        if part >= 0.0
            && let Some(covered) = covered.get_mut(part as usize)
        {
            *covered = true;
        }
    }
    let share = covered.iter().filter(|covered| **covered).count() as f64 / parts;
    (share < LEAST_COVERED).then(|| {
        format!(
            "Prometheus has samples in {:.0} % of the time from {start} to {end}: ask about the time in which the \
             soak ran",
            100.0 * share
        )
    })
}

/// How far apart the samples of a series are on average, in seconds.
fn distance(series: &RecordedSeries) -> Option<f64> {
    let [first, .., last] = series.samples.as_slice() else {
        return None;
    };
    Some((last.t - first.t) / (series.samples.len() - 1) as f64)
}

/// The unit's name is part of a metric's name by convention.
fn named_in(query: &str) -> RecordedSignal {
    if query.contains("bytes") {
        RecordedSignal::Memory
    } else {
        RecordedSignal::Tasks
    }
}

fn url(text: &str) -> anyhow::Result<String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        Ok(text.to_owned())
    } else {
        bail!("use a URL such as http://prometheus.monitoring:9090")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use soak_verdict::Sample;

    fn sampled(from: u32, to: u32, step: usize) -> Vec<RecordedSeries> {
        vec![RecordedSeries {
            pod: "w-0".to_owned(),
            incarnation: 1,
            labels: std::collections::BTreeMap::new(),
            start_unix: None,
            component: None,
            samples: (from..to)
                .step_by(step)
                .map(|t| Sample {
                    t: t.into(),
                    v: 1.0,
                })
                .collect(),
        }]
    }

    #[test]
    fn what_covers_too_little_of_the_time_asked_about_is_a_gap() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let hole = |series: &[_]| hole(series, at(600), at(3600), 15.0);
        assert_eq!(hole(&sampled(0, 3600, 15)), None);
        assert_eq!(hole(&sampled(0, 3600, 120)), None);
        let half = hole(&sampled(0, 2100, 15)).expect("a gap");
        assert!(half.contains("samples in 50 %"), "{half}");
        assert!(
            hole(&sampled(0, 500, 15))
                .expect("a gap")
                .contains("samples in 0 %")
        );
        assert!(hole(&[]).expect("a gap").contains("no samples"));
    }
}
