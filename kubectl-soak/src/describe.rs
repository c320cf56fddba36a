//! `kubectl soak describe`: all that is known of one soak.

use std::fmt::Write;

use jiff::Timestamp;
use kube::ResourceExt;
use soak_api::{CriterionResult, GrowthRow, Phase, SoakTest, SoakTestStatus, Span};
use soak_verdict::wording::{count, seconds};

use crate::cluster;
use crate::events::{self, Told};
use crate::timeline::Timeline;
use crate::wording::{COLUMNS, NOTHING, aligned, between, instant, interval, measure, wrapped};

/// How far what belongs to a criterion is moved in below it.
const INDENT: usize = 6;

/// Show all that is known of a soak
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The SoakTest's name
    #[arg(value_parser = cluster::soak_name)]
    name: String,

    #[command(flatten)]
    cluster: cluster::Args,
}

/// The description.
pub(crate) async fn run(args: &Args) -> anyhow::Result<String> {
    let cluster = args.cluster.open().await?;
    let test = cluster.soak_test(&args.name).await?;
    Ok(described(&test, Timestamp::now()))
}

fn described(test: &SoakTest, now: Timestamp) -> String {
    let status = test.status.clone().unwrap_or_default();
    let sections = [
        head(test, &status, now),
        course(test, &status),
        components(&status),
        chaos(&status, now),
        breaches(&status),
        if status.criteria.is_empty() {
            estimates(&status)
        } else {
            criteria(&status.criteria)
        },
        conditions(&status),
    ];
    let sections = sections.into_iter().filter(|lines| !lines.is_empty());
    sections
        .map(|lines| lines.join("\n") + "\n")
        .collect::<Vec<_>>()
        .join("\n")
}

fn head(test: &SoakTest, status: &SoakTestStatus, now: Timestamp) -> Vec<String> {
    let mut state = format!("{:?}", status.phase);
    if let Some(outcome) = status.outcome {
        state = format!("{outcome:?} ({state})");
    }
    if let Some(left) = Timeline::of(test, now).left {
        let _ = write!(state, ", {} left", between(now, now + left));
    }
    if let Some(foregone) = status.foregone() {
        let _ = write!(state, ", {}", foregone.in_words());
    }
    if test.spec.suspend {
        state.push_str(", chaos is suspended");
    }
    let mut lines = vec![format!(
        "{}/{}: {state}",
        test.namespace().unwrap_or_default(),
        test.name_any()
    )];
    if !status.message.is_empty() {
        lines.extend(wrapped(&status.message, 2, COLUMNS));
    }
    lines
}

/// What was planned, and when each phase began.
fn course(test: &SoakTest, status: &SoakTestStatus) -> Vec<String> {
    let spec = &test.spec;
    let times = &status.times;
    let seed = match (status.seed, spec.seed) {
        (Some(seed), _) | (None, Some(seed)) => seed.to_string(),
        (None, None) => "drawn when it begins".to_owned(),
    };
    let created = test.creation_timestamp().map(|at| at.0);
    let phases: [(&str, Option<&Span>, Option<Timestamp>); 8] = [
        ("Created", None, created),
        ("Deploying", None, times.deploying),
        ("WarmingUp", Some(&spec.warm_up), times.warming_up),
        ("Soaking", Some(&spec.duration), times.soaking),
        ("Settling", Some(&spec.settle), times.settling),
        ("Judging", None, times.judging),
        ("CleaningUp", None, times.cleaning_up),
        ("Completed", None, times.completed),
    ];
    let is_over = status.phase >= Phase::Judging;
    let mut rows = Vec::new();
    for (place, (name, planned, began)) in phases.iter().enumerate() {
        let next = phases[place + 1..].iter().find_map(|(_, _, began)| *began);
        let planned = planned.map(|span| span.duration().as_secs_f64());
        let lasts = match (planned, *began, next) {
            (Some(planned), Some(began), Some(ended)) => {
                let took = ended.duration_since(began).as_secs_f64();
                // One that was cut short.
                if took + 1.0 < planned {
                    format!("{} of {}", seconds(took.floor()), seconds(planned))
                } else {
                    seconds(planned)
                }
            }
            // What has not come by then does not come any more.
            (Some(_), None, _) if is_over => continue,
            (Some(planned), ..) => seconds(planned),
            (None, None, _) => continue,
            (None, ..) => String::new(),
        };
        rows.push(vec![
            (*name).to_owned(),
            began.map_or(String::new(), instant),
            lasts,
        ]);
    }
    let deadline = status.deadline_at.map_or(String::new(), instant);
    rows.push(vec!["Deadline".to_owned(), deadline, String::new()]);
    rows.push(vec!["Seed".to_owned(), seed, String::new()]);
    rows.retain(|row| !row[1].is_empty() || !row[2].is_empty());
    for row in &mut rows {
        if row[1].is_empty() {
            row.remove(1);
        }
    }
    aligned(&rows, 2)
}

fn components(status: &SoakTestStatus) -> Vec<String> {
    // What was ready when the workload was removed says nothing.
    if status.components.is_empty() || status.phase >= Phase::CleaningUp {
        return Vec::new();
    }
    let mut rows = vec![vec!["COMPONENT".to_owned(), "READY".to_owned()]];
    let components = status.components.iter();
    rows.extend(
        components.map(|one| vec![one.name.clone(), format!("{}/{}", one.ready, one.desired)]),
    );
    aligned(&rows, 2)
}

fn chaos(status: &SoakTestStatus, now: Timestamp) -> Vec<String> {
    let chaos = &status.chaos;
    if chaos.planned == 0 {
        return Vec::new();
    }
    let mut total = format!("  {} of {} events injected", chaos.injected, chaos.planned);
    if let Some(next) = chaos.next_at {
        let _ = write!(total, ", the next in {}", between(now, next));
    }
    let told = events::last(chaos);
    let mut lines = vec![total];
    if !told.is_empty() {
        let header = ["EVENT", "AT", "KIND", "COMPONENT", "TARGET", "RESULT"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(told.into_iter().map(
            |Told {
                 index,
                 at,
                 kind,
                 component,
                 target,
                 result,
                 ..
             }| {
                vec![
                    index.to_string(),
                    instant(at),
                    kind,
                    component,
                    target,
                    result,
                ]
            },
        ));
        lines.extend(aligned(&rows, 2));
    }
    lines
}

fn breaches(status: &SoakTestStatus) -> Vec<String> {
    if status.breaches.is_empty() {
        return Vec::new();
    }
    let header = ["BREACH", "AT", "COMPONENT", "POD", "DETAIL"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(status.breaches.iter().map(|breach| {
        vec![
            breach.reason.clone(),
            instant(breach.at),
            breach.component.clone(),
            or_nothing(&breach.pod),
            breach.detail.clone(),
        ]
    }));
    aligned(&rows, 2)
}

/// Advice, not a verdict, and says so.
fn estimates(status: &SoakTestStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if !status.estimates.is_empty() {
        lines = estimated(status);
    }
    if !status.unmeasured.is_empty() {
        lines.push("  Not measured so far:".to_owned());
    }
    for one in &status.unmeasured {
        let text = format!("{}: {}", one.criterion, one.why);
        lines.extend(wrapped(&text, INDENT, COLUMNS));
    }
    lines
}

fn estimated(status: &SoakTestStatus) -> Vec<String> {
    let header = ["CRITERION", "COMPONENT", "SO FAR", "95 % INTERVAL", "LIMIT"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(status.estimates.iter().map(|one| {
        vec![
            one.criterion.clone(),
            or_nothing(&one.component),
            measure(one.estimate, &one.unit),
            interval(one.interval, &one.unit),
            measure(one.limit, &one.unit),
        ]
    }));
    aligned(&rows, 2)
}

fn criteria(criteria: &[CriterionResult]) -> Vec<String> {
    let header = [
        "CRITERION",
        "KIND",
        "COMPONENT",
        "ESTIMATE",
        "95 % INTERVAL",
        "LIMIT",
        "VERDICT",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(criteria.iter().map(|one| {
        let told = |number: Option<f64>| {
            number.map_or_else(|| NOTHING.to_owned(), |number| measure(number, &one.unit))
        };
        vec![
            one.name.clone(),
            one.kind.clone(),
            one.component.clone().unwrap_or_else(|| NOTHING.to_owned()),
            told(one.estimate),
            interval(one.interval, &one.unit),
            told(one.limit),
            format!("{:?}", one.outcome),
        ]
    }));
    let mut rows = aligned(&rows, 2).into_iter();
    let mut lines: Vec<String> = rows.next().into_iter().collect();
    for (one, row) in criteria.iter().zip(rows) {
        lines.push(row);
        lines.extend(wrapped(&one.sentence, INDENT, COLUMNS));
        lines.extend(details(one));
    }
    lines
}

fn details(one: &CriterionResult) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rests = Vec::new();
    if one.samples > 0 {
        rests.push(format!(
            "Rests on {} of {}.",
            count(one.samples, "sample"),
            count(one.incarnations, "incarnation"),
        ));
    }
    rests.extend(one.course.map(|course| format!("Its course is {course}.")));
    rests.extend(one.reach.map(|reach| format!("At this pace {reach}.")));
    if !rests.is_empty() {
        lines.extend(wrapped(&rests.join(" "), INDENT, COLUMNS));
    }
    let unit = if one.unit == "%" {
        ""
    } else {
        one.unit.as_str()
    };
    for (title, rows) in [
        ("Worst pods", &one.worst_pods),
        ("By contribution", &one.contributions),
        ("Left in survivors", &one.per_event),
    ] {
        if !rows.is_empty() {
            let told: Vec<String> = rows.iter().map(|row| growth(row, unit)).collect();
            lines.extend(wrapped(
                &format!("{title}: {}.", told.join("; ")),
                INDENT,
                COLUMNS,
            ));
        }
    }
    if !one.excluded.is_empty() {
        let left_out = format!("Left out: {}.", one.excluded.join("; "));
        lines.extend(wrapped(&left_out, INDENT, COLUMNS));
    }
    lines
}

fn growth(row: &GrowthRow, unit: &str) -> String {
    let growth = measure(row.growth, unit);
    match row.interval {
        Some(of) => format!("{} {growth} ({})", row.name, interval(Some(of), unit)),
        None => format!("{} {growth}", row.name),
    }
}

fn conditions(status: &SoakTestStatus) -> Vec<String> {
    if status.conditions.is_empty() {
        return Vec::new();
    }
    let header = ["CONDITION", "STATUS", "REASON", "MESSAGE"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(status.conditions.iter().map(|one| {
        vec![
            one.type_.clone(),
            one.status.clone(),
            one.reason.clone(),
            one.message.clone(),
        ]
    }));
    let mut lines = aligned(&rows, 2);
    if status.presence.absent_milliseconds > 0 {
        let absent = status.presence.absent_milliseconds as f64 / 1_000.0;
        lines.push(format!("  No operator was there for {}.", seconds(absent)));
    }
    lines
}

fn or_nothing(text: &str) -> String {
    if text.is_empty() {
        NOTHING.to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{at, failed, leaking, soaking};

    #[test]
    fn of_a_soak_that_was_cut_short_only_what_was_is_told() {
        let mut test = soaking();
        let status = test.status.as_mut().expect("a status");
        status.phase = Phase::Completed;
        status.times.cleaning_up = Some(at("06:02:07"));
        let told = described(&test, at("06:02:10"));
        assert!(told.contains("7s of 5m"), "{told}");
        assert!(!told.contains("Settling"), "{told}");
    }

    #[test]
    fn a_soak_that_runs_shows_where_it_stands() {
        insta::assert_snapshot!(described(&soaking(), at("06:04:00")));
    }

    #[test]
    fn a_soak_that_is_over_shows_what_it_came_to_and_why() {
        insta::assert_snapshot!(described(&failed(), at("09:00:00")));
    }

    #[test]
    fn a_soak_that_nobody_has_seen_yet_shows_what_is_planned() {
        insta::assert_snapshot!(described(&leaking(), at("06:00:01")));
    }
}
