//! What every kind of report tells, worked out once.

use std::collections::BTreeMap;

use anyhow::Context;
use jiff::Timestamp;
use soak_api::verdict::{Amount, FootprintRow, Interval, Outcome};
use soak_api::{
    Chart, CriterionResult, EventRecord, EventResult, Evidence, GrowthRow, SoakOutcome,
    SoakTestSpec, SoakTestStatus,
};

use crate::wording::{is_0, measure, number};

/// Evidence that has a status, seen as a report sees it.
pub(crate) struct View<'e> {
    /// All of it.
    pub(crate) evidence: &'e Evidence,
    /// What was asked for.
    pub(crate) spec: &'e SoakTestSpec,
    /// What it came to.
    pub(crate) status: &'e SoakTestStatus,
}

impl<'e> View<'e> {
    /// An error where the evidence says nothing of an outcome.
    pub(crate) fn of(evidence: &'e Evidence) -> anyhow::Result<Self> {
        let status = evidence.soak_test.status.as_ref();
        Ok(Self {
            evidence,
            spec: &evidence.soak_test.spec,
            status: status
                .context("the evidence holds no status: nothing is known of the outcome")?,
        })
    }

    pub(crate) fn name(&self) -> &'e str {
        let name = self.evidence.soak_test.metadata.name.as_deref();
        name.unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &'e str {
        let namespace = self.evidence.soak_test.metadata.namespace.as_deref();
        namespace.unwrap_or_default()
    }

    /// Such as Failed.
    pub(crate) fn outcome(&self) -> &'static str {
        match self.status.outcome {
            Some(SoakOutcome::Passed) => "Passed",
            Some(SoakOutcome::Failed) => "Failed",
            Some(SoakOutcome::Inconclusive) => "Inconclusive",
            Some(SoakOutcome::Aborted) => "Aborted",
            Some(SoakOutcome::Error) => "Error",
            None => "Unknown",
        }
    }

    /// Why, without the outcome itself, as a sentence. A name at its beginning stays as it is.
    pub(crate) fn reason(&self) -> String {
        let message = self.status.message.trim();
        let reason = message
            .strip_prefix(self.outcome())
            .and_then(|rest| rest.strip_prefix(": "))
            .unwrap_or(message);
        let mut criteria = self.status.criteria.iter();
        if criteria.any(|result| reason.starts_with(&result.name)) {
            return sentence(reason);
        }
        let mut letters = reason.chars();
        let first: String = letters
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .collect();
        sentence(&(first + letters.as_str()))
    }

    /// Seconds from the beginning of warm-up, from which charts count.
    pub(crate) fn seconds(&self, at: Timestamp) -> Option<f64> {
        let began = self.status.times.warming_up?;
        Some(at.duration_since(began).as_secs_f64())
    }

    /// Beginning and end of the judged window, in the seconds of charts; of a soak that was cut short, as far as it came.
    pub(crate) fn window(&self) -> Option<(f64, f64)> {
        let times = &self.status.times;
        let from = self.seconds(times.soaking?)?;
        let to = self.seconds(times.settling.or(times.cleaning_up)?)?;
        (from < to).then_some((from, to))
    }

    /// The seed that the chaos followed.
    pub(crate) fn seed(&self) -> Option<i64> {
        self.status.seed.or(self.spec.seed)
    }

    /// The chart that a criterion was judged on.
    pub(crate) fn chart(&self, criterion: &str) -> Option<&'e Chart> {
        let mut charts = self.evidence.charts.iter();
        charts.find(|chart| chart.criteria.iter().any(|name| name == criterion))
    }

    /// The unit that the growth of pods and parts is in, which is not the criterion's where that has percent.
    pub(crate) fn unit_of_rows(&self, result: &'e CriterionResult) -> &'e str {
        match self.chart(&result.name) {
            Some(chart) => &chart.unit,
            None if result.unit == "%" => "",
            None => &result.unit,
        }
    }

    /// What was done to the workload, by kind and component.
    pub(crate) fn chaos(&self) -> Vec<Injections<'e>> {
        let mut all: BTreeMap<(&str, &str), Injections<'_>> = BTreeMap::new();
        for event in &self.evidence.events {
            let key = (event.kind.as_str(), event.component.as_str());
            all.entry(key).or_default().add(event);
        }
        let injections = all.into_iter().map(|((kind, component), mut one)| {
            (one.kind, one.component) = (kind, component);
            one.recoveries.sort_by(f64::total_cmp);
            one
        });
        injections.collect()
    }
}

/// The events of one kind to one component.
#[derive(Default)]
pub(crate) struct Injections<'e> {
    pub(crate) kind: &'e str,
    pub(crate) component: &'e str,
    pub(crate) events: usize,
    pub(crate) injected: usize,
    /// Injected, and the component was not seen to come back.
    pub(crate) never_recovered: usize,
    /// In seconds, the shortest first.
    pub(crate) recoveries: Vec<f64>,
    /// How many came to something else than being injected, by what and why.
    pub(crate) others: BTreeMap<(&'static str, &'e str), usize>,
}

impl<'e> Injections<'e> {
    fn add(&mut self, event: &'e EventRecord) {
        self.events += 1;
        if event.result == EventResult::Injected {
            self.injected += 1;
            match recovery(event) {
                Some(seconds) => self.recoveries.push(seconds),
                None => self.never_recovered += 1,
            }
        } else {
            let other = (result(event.result), event.reason.as_str());
            *self.others.entry(other).or_default() += 1;
        }
    }

    pub(crate) fn slowest(&self) -> Option<f64> {
        self.recoveries.last().copied()
    }

    pub(crate) fn median(&self) -> Option<f64> {
        self.recoveries.get(self.recoveries.len() / 2).copied()
    }

    /// Such as `2 Skipped (TooFewReady)`.
    pub(crate) fn others(&self) -> String {
        let told = self.others.iter().map(|((result, reason), count)| {
            if reason.is_empty() {
                format!("{count} {result}")
            } else {
                format!("{count} {result} ({reason})")
            }
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

/// From being done, or undone where that is part of it, to all pods ready again, in seconds.
pub(crate) fn recovery(event: &EventRecord) -> Option<f64> {
    let since = event.undone_at.or(event.injected_at)?;
    let took = event.recovered_at?.duration_since(since).as_secs_f64();
    (took >= 0.0).then_some(took)
}

/// Such as Skipped.
pub(crate) fn result(result: EventResult) -> &'static str {
    match result {
        EventResult::Injected => "Injected",
        EventResult::Skipped => "Skipped",
        EventResult::Abandoned => "Abandoned",
        EventResult::Presumed => "Presumed",
        EventResult::Unproven => "Unproven",
    }
}

/// Such as Passed.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "Passed",
        Outcome::Inconclusive => "Inconclusive",
        Outcome::Failed => "Failed",
    }
}

/// What was measured; a dash where nothing was.
pub(crate) fn told(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "–".to_owned(), |value| measure(value, unit))
}

/// Such as `62.9 to 83.8 %`, or `535 KiB to 1.3 MiB`; `exact` where there is no doubt.
pub(crate) fn interval(interval: Option<Interval>, unit: &str) -> String {
    let Some(Interval { low, high }) = interval else {
        return "–".to_owned();
    };
    if is_0(high - low) {
        return "exact".to_owned();
    }
    let (low, high) = (measure(low, unit), measure(high, unit));
    let unit_of = |told: &str| told.split_once(' ').map(|(_, unit)| unit.to_owned());
    match low.split_once(' ') {
        Some((number, unit)) if unit_of(&high).as_deref() == Some(unit) => {
            format!("{number} to {high}")
        }
        _ => format!("{low} to {high}"),
    }
}

/// The rows that tell something, and one for all of those together that surely did not grow.
pub(crate) fn telling(rows: &[GrowthRow]) -> Vec<GrowthRow> {
    let surely = |row: &GrowthRow| is_surely_0(row.growth, row.interval);
    together(rows, surely, |row| &mut row.name)
}

/// As [`telling`], for what grew in tasks and in bytes.
pub(crate) fn telling_parts(parts: &[FootprintRow]) -> Vec<FootprintRow> {
    let surely_0 = |amount: Amount| is_surely_0(amount.estimate, amount.interval);
    // What is known of the first has to be known of all. Bytes that are shared out by tasks are none where there are none.
    let known = parts.first().map(|part| part.bytes.is_some());
    let no_bytes = |part: &FootprintRow| match part.bytes {
        Some(bytes) => known == Some(true) && (part.shared_out || surely_0(bytes)),
        None => known == Some(false),
    };
    let surely = |part: &FootprintRow| surely_0(part.tasks) && no_bytes(part);
    together(parts, surely, |part| &mut part.name)
}

/// All that are alike as one, with the names of all of them, at the end.
fn together<R: Clone>(
    rows: &[R],
    alike: impl Fn(&R) -> bool,
    name: impl Fn(&mut R) -> &mut String,
) -> Vec<R> {
    let (mut same, mut others): (Vec<R>, Vec<R>) = rows.iter().cloned().partition(alike);
    let names: Vec<_> = same
        .iter_mut()
        .map(|row| std::mem::take(name(row)))
        .collect();
    if let Some(mut first) = same.into_iter().next() {
        *name(&mut first) = names.join(", ");
        others.push(first);
    }
    others
}

fn is_surely_0(value: f64, interval: Option<Interval>) -> bool {
    is_0(value) && interval.is_some_and(|known| is_0(known.low) && is_0(known.high))
}

/// With a full stop at its end.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?', ')']) {
        return text.to_owned();
    }
    format!("{text}.")
}

const UNITS: [(f64, &str); 4] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "m"), (1.0, "s")];

/// Such as `6.8 s`, `5m` or `1h 30m`, or `3d 2h`: two parts at most.
pub(crate) fn span(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{} s", number((seconds * 10.0).round() / 10.0));
    }
    let whole = seconds.round();
    let place = UNITS
        .iter()
        .position(|(size, _)| whole >= *size)
        .unwrap_or(3);
    let (size, name) = UNITS[place];
    let major = (whole / size).floor();
    let minor = UNITS.get(place + 1).map(|(smaller, name)| {
        let rest = ((whole - major * size) / smaller).floor();
        (rest, name)
    });
    match minor.filter(|(rest, _)| *rest > 0.0) {
        Some((rest, smaller)) => format!("{major}{name} {rest}{smaller}"),
        None => format!("{major}{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence;
    use super::*;

    #[test]
    fn events_are_counted_by_what_became_of_them() {
        let mut evidence = evidence::twin(false);
        evidence.events[0].recovered_at = None;
        for place in [1, 2] {
            evidence.events[place].result = EventResult::Skipped;
            evidence.events[place].reason = "TooFewReady".to_owned();
        }
        let view = View::of(&evidence).expect("a view");
        let [kills] = view.chaos().try_into().ok().expect("one kind");
        assert_eq!(
            (kills.events, kills.injected, kills.never_recovered),
            (6, 4, 1)
        );
        assert_eq!(kills.recoveries.len(), 3);
        assert_eq!(kills.others(), "2 Skipped (TooFewReady)");
    }

    #[test]
    fn recovery_of_what_is_undone_counts_from_there() {
        let mut event = evidence::twin(false).events.remove(0);
        let injected = event.injected_at.expect("injected");
        let later = |seconds| Some(injected + jiff::SignedDuration::from_secs(seconds));
        (event.undone_at, event.recovered_at) = (later(20), later(27));
        assert_eq!(recovery(&event), Some(7.0));
    }

    #[test]
    fn the_outcome_is_not_told_twice() {
        let evidence = evidence::twin(true);
        let view = View::of(&evidence).expect("a view");
        assert_eq!(view.outcome(), "Failed");
        assert!(
            view.reason()
                .starts_with("task-growth: worker tasks grew by 73 %")
        );
        assert_eq!(view.window(), Some((90.0, 390.0)));
    }

    #[test]
    fn an_interval_names_its_unit_once_where_it_is_one() {
        let told = |low, high, unit| interval(Some(Interval { low, high }), unit);
        assert_eq!(told(62.9, 83.8, "%"), "62.9 to 83.8 %");
        assert_eq!(told(0.0, 1_363_149.0, "bytes"), "0 B to 1.3 MiB");
        assert_eq!(told(1_048_576.0, 1_363_149.0, "bytes"), "1 to 1.3 MiB");
        assert_eq!(told(0.0, 0.0, ""), "exact");
        assert_eq!(interval(None, "%"), "–");
    }

    #[test]
    fn what_surely_did_not_grow_is_told_together() {
        let row = |name: &str, growth: f64, high: f64| GrowthRow {
            name: name.to_owned(),
            growth,
            interval: Some(Interval { low: growth, high }),
        };
        let rows = [
            row("consume", 50.7, 70.9),
            row("claim", 0.0, 0.0),
            row("http", 0.0, 0.1),
            row("election", 0.0, 0.0),
        ];
        let names: Vec<_> = telling(&rows).into_iter().map(|row| row.name).collect();
        assert_eq!(names, ["consume", "http", "claim, election"]);
        assert_eq!(telling(&rows[..1]), rows[..1]);
        assert_eq!(telling(&[]), []);
    }

    #[test]
    fn spans_have_two_parts_at_most() {
        let told: Vec<_> = [6.81, 59.0, 90.0, 300.0, 5_400.0, 259_200.0]
            .map(span)
            .to_vec();
        assert_eq!(told, ["6.8 s", "59 s", "1m 30s", "5m", "1h 30m", "3d"]);
    }
}
