//! Holds the growth of one component against its limits.

use std::cmp::Ordering;

use crate::DOUBT;
use crate::criterion::Measured;
use crate::evidence::{Evidence, Track};
use crate::judgement::{Interval, Judgement, Outcome, SeriesGrowth};
use crate::load::Tracks;
use crate::parts::{LabelPart, contributions};
use crate::projection::{course, reach};
use crate::slope::{Fit, Search};
use crate::soak_length::Undecided;
use crate::student::Belief;
use crate::wording::{count, limit_in, subject, value};

/// What a slope is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
    /// From the growth of the mean pod over the window to the bound's unit.
    pub(crate) factor: f64,
    /// From the growth of one pod over the window to the bound's unit, for that pod by itself.
    pub(crate) pod_factor: f64,
    /// The level of a pod that a percentage is of; `None` for a bound in the signal's own unit.
    pub(crate) level: Option<f64>,
}

impl Bound {
    /// From the growth of one label value in the mean pod over the window to the bound's unit: a percentage is of its
    /// own level, unless that is next to nothing against the pod's.
    fn part_factor(&self, level: Option<f64>) -> f64 {
        match (self.level, level) {
            (Some(whole), Some(own)) => self.factor * whole / own.max(LEAST_PART * whole),
            _ => self.factor,
        }
    }
}

/// The growth of a label value is held against at least this share of the pod's level: from one task to two is no
/// growth by 100 % worth an alarm among a hundred tasks.
const LEAST_PART: f64 = 0.1;

/// What is asked of each component.
#[derive(Clone, Debug)]
pub(crate) struct Question<'c> {
    pub(crate) of: &'c Measured,
    /// Such as `over 5m`.
    pub(crate) over: String,
    /// What growth is, and what else a signal may do.
    pub(crate) search: Search,
    /// Whether growth is projected over a horizon of its own.
    pub(crate) fixed_horizon: bool,
    /// What the deciding interval leaves out, on both sides together.
    pub(crate) doubt: f64,
}

/// A pod judged by itself has been watched for at least this share of the window: a short life proves no growth.
const LEAST_POD_LENGTH: f64 = 0.25;

/// And has at least this many blocks.
const LEAST_POD_BLOCKS: usize = 5;

const MOST_PODS: usize = 5;
const MOST_EVENTS: usize = 5;

/// Judges one component; `bounds` are worked out from the level at the window's start, and all of them must hold.
pub(crate) fn judge_component(
    evidence: &Evidence<'_>,
    question: &Question<'_>,
    bounds: &[Bound],
) -> Judgement {
    let limit = bounds.first().copied();
    let inconclusive = |why: String| Judgement {
        component: Some(evidence.component.name.clone()),
        limit: limit.map_or(0.0, |bound| bound.limit),
        unit: limit.map_or("", |bound| bound.unit),
        samples: evidence.samples,
        incarnations: evidence.tracks.len(),
        excluded: evidence.excluded.clone(),
        ..Judgement::inconclusive(why)
    };
    if let Some(problem) = &evidence.problem {
        return inconclusive(format!("{problem}."));
    }
    let Ok(tracks) = evidence.at_equal_load(question.search.hinge) else {
        return inconclusive(moved_together(evidence, question));
    };
    let Some(fit) = tracks.fit(&question.search) else {
        return inconclusive(format!(
            "the growth of {} {} could not be worked out from {}.",
            evidence.component.name,
            subject(question.of),
            count(evidence.samples, "sample"),
        ));
    };
    let parts = LabelPart::all(evidence, question.search.hinge);
    let answers: Vec<Answer> = bounds
        .iter()
        .map(|bound| Answer::to(evidence, (&tracks, &parts), question, &fit, *bound))
        .collect();
    let Some(worst) = answers.iter().max_by(|a, b| a.severity(b)) else {
        return inconclusive("the criterion sets no limit.".to_owned());
    };
    let contributions = contributions(evidence, &parts);
    let sentence = sentence(evidence, question, &fit, worst, &answers, &contributions);
    Judgement {
        outcome: worst.outcome,
        component: Some(evidence.component.name.clone()),
        estimate: worst.estimate,
        interval: worst.interval,
        limit: worst.bound.limit,
        unit: worst.bound.unit,
        samples: evidence.samples,
        incarnations: evidence.tracks.len(),
        worst_pods: worst_pods(evidence, &fit),
        contributions,
        per_event: evidence
            .per_event
            .iter()
            .take(MOST_EVENTS)
            .cloned()
            .collect(),
        course: Some(course(&fit)),
        reach: reach(evidence, question.of, &fit),
        decided_after_seconds: undecided(evidence, question, &fit, worst)
            .and_then(Undecided::decided_after_seconds),
        excluded: evidence.excluded.clone(),
        sentence,
    }
}

/// The judgement that decides: the worst outcome, among equals the one nearest to its limit, and among those the one of which
/// most incarnations were judged.
pub(crate) fn worst_of(judgements: Vec<Judgement>) -> Judgement {
    judgements
        .into_iter()
        .reduce(|worst, next| {
            let nearness = |judgement: &Judgement| nearness(judgement.interval, judgement.limit);
            let order = next
                .outcome
                .cmp(&worst.outcome)
                .then(nearness(&next).total_cmp(&nearness(&worst)))
                .then(next.incarnations.cmp(&worst.incarnations));
            if order == Ordering::Greater {
                next
            } else {
                worst
            }
        })
        .unwrap_or_else(|| {
            Judgement::inconclusive(
                "the criterion is about no component of the workload.".to_owned(),
            )
        })
}

/// The answer to one bound.
struct Answer {
    bound: Bound,
    outcome: Outcome,
    estimate: Option<f64>,
    interval: Option<Interval>,
    /// The pod or label value that decides by itself, as a sentence names it.
    alone: Option<String>,
}

impl Answer {
    fn to(
        evidence: &Evidence<'_>,
        (tracks, parts): (&Tracks, &[LabelPart<'_>]),
        question: &Question,
        fit: &Fit,
        bound: Bound,
    ) -> Self {
        let growth = fit.growth.times(bound.factor);
        let interval = growth.interval(question.doubt);
        let answer = Self {
            bound,
            outcome: Outcome::at_most(interval, bound.limit),
            estimate: growth.estimate(),
            interval,
            alone: None,
        };
        if answer.outcome == Outcome::Failed {
            return answer;
        }
        // What all pods and parts were looked at for must not make an alarm more likely (Bonferroni; for the worst of
        // them Holm's, 1979, is the same). The parts that grow most were picked from all label values.
        let doubt = question.doubt / (evidence.tracks.len() + evidence.label_values()) as f64;
        let search = &question.search;
        Self::for_worst_pod(evidence, tracks, search, fit, (bound, doubt))
            .or_else(|| Self::for_worst_part(parts, search, bound, doubt))
            .unwrap_or(answer)
    }

    /// The pod that surely grows above the limit by itself.
    fn for_worst_pod(
        evidence: &Evidence<'_>,
        tracks: &Tracks,
        search: &Search,
        together: &Fit,
        (bound, doubt): (Bound, f64),
    ) -> Option<Self> {
        let (place, surest, chance) = evidence
            .tracks
            .iter()
            .zip(&together.each)
            .enumerate()
            .filter(|(_, (track, _))| {
                track.length() >= LEAST_POD_LENGTH && track.points.len() >= LEAST_POD_BLOCKS
            })
            .map(|(place, (track, growth))| {
                let chance = growth.times(bound.pod_factor).at_most(bound.limit);
                (place, track, chance)
            })
            .min_by(|(.., a), (.., b)| a.total_cmp(b))?;
        if chance >= doubt / 2.0 {
            return None;
        }
        // What this pod alone does beside growing, such as a step of its own, is not seen beside the others.
        let growth = tracks.fit_alone(place, search)?;
        Self::alone(
            &growth.times(bound.pod_factor),
            bound,
            doubt,
            format!("of pod {}", surest.name),
        )
    }

    /// The label value that surely grows above the limit by itself, which the noise of all others may hide in the sum.
    fn for_worst_part(
        parts: &[LabelPart<'_>],
        search: &Search,
        bound: Bound,
        doubt: f64,
    ) -> Option<Self> {
        let (surest, factor, chance) = parts
            .iter()
            .filter_map(|part| {
                let factor = bound.part_factor(part.level);
                let chance = part
                    .even
                    .as_ref()?
                    .growth
                    .times(factor)
                    .at_most(bound.limit);
                Some((part, factor, chance))
            })
            .min_by(|(_, _, a), (_, _, b)| a.total_cmp(b))?;
        if chance >= doubt / 2.0 {
            return None;
        }
        let growth = surest.tracks.fit(search)?.growth;
        Self::alone(
            &growth.times(factor),
            bound,
            doubt,
            format!("in {}", surest.name),
        )
    }

    fn alone(growth: &Belief, bound: Bound, doubt: f64, name: String) -> Option<Self> {
        let interval = growth.interval(doubt);
        (Outcome::at_most(interval, bound.limit) == Outcome::Failed).then(|| Self {
            bound,
            outcome: Outcome::Failed,
            estimate: growth.estimate(),
            interval,
            alone: Some(name),
        })
    }

    fn severity(&self, other: &Self) -> Ordering {
        self.outcome.cmp(&other.outcome).then(
            nearness(self.interval, self.bound.limit)
                .total_cmp(&nearness(other.interval, other.bound.limit)),
        )
    }
}

/// How much of the limit the interval takes up, above 1 where it goes beyond; unknown counts as far beyond.
fn nearness(interval: Option<Interval>, limit: f64) -> f64 {
    match interval {
        Some(interval) if limit > 0.0 => interval.high / limit,
        Some(interval) => interval.high,
        None => f64::INFINITY,
    }
}

fn worst_pods(evidence: &Evidence<'_>, fit: &Fit) -> Vec<SeriesGrowth> {
    let mut pods: Vec<(&str, f64, &Belief)> = evidence
        .tracks
        .iter()
        .zip(&fit.each)
        .filter_map(|(track, growth)| Some((track.name.as_str(), growth.estimate()?, growth)))
        .collect();
    pods.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    pods.truncate(MOST_PODS);
    pods.into_iter()
        .map(|(name, growth, belief)| SeriesGrowth {
            name: name.to_owned(),
            growth,
            interval: belief.interval(DOUBT),
        })
        .collect()
}

fn sentence(
    evidence: &Evidence<'_>,
    question: &Question<'_>,
    fit: &Fit,
    worst: &Answer,
    answers: &[Answer],
    contributions: &[SeriesGrowth],
) -> String {
    let component = &evidence.component.name;
    let what = subject(question.of);
    let subject = match &worst.alone {
        Some(name) => format!("{component} {what} {name} alone"),
        None => format!("{component} {what}"),
    };
    let bound = worst.bound;
    let measured = match (worst.estimate, worst.interval) {
        (Some(estimate), Some(interval)) => format!(
            "{subject} {} {} (interval {} to {}), limit {}",
            moved(estimate, bound.unit),
            question.over,
            value(interval.low, bound.unit),
            value(interval.high, bound.unit),
            value(bound.limit, bound.unit),
        ),
        _ => format!(
            "how much {subject} grew {} in {} cannot be said, since the level at the start is not above 0; {} would decide",
            question.over,
            bound.unit,
            limit_in(question.of.unit()),
        ),
    };
    let others: Vec<String> = answers
        .iter()
        .filter(|other| other.bound.unit != bound.unit)
        .filter_map(|other| Some((other.bound, other.interval?)))
        .map(|(bound, interval)| {
            format!(
                "; {} to {} against a limit of {}",
                value(interval.low, bound.unit),
                value(interval.high, bound.unit),
                value(bound.limit, bound.unit),
            )
        })
        .collect();
    let others = others.concat();
    let remark = match (worst.outcome, worst.estimate, worst.interval) {
        (Outcome::Failed, ..) => {
            let mut remark = String::new();
            if worst.alone.is_none() {
                let rise: f64 = contributions.iter().map(|part| part.growth.max(0.0)).sum();
                let most = contributions.first();
                if let Some(most) = most.filter(|part| part.growth > rise / 2.0) {
                    remark = format!(": most of it in {}", most.name);
                }
            }
            remark + &left_in_survivors(evidence, question.of.unit())
        }
        (Outcome::Inconclusive, ..) if fit.of_load => format!(
            ": not certain either way, since {} and time moved together: a load that comes and goes would tell what it costs",
            load_of(evidence)
        ),
        (Outcome::Inconclusive, ..) => undecided(evidence, question, fit, worst)
            .map_or(String::new(), |undecided| {
                format!(": not certain either way; {}", undecided.advice())
            }),
        _ => String::new(),
    };
    format!("{measured}{others}{remark}.")
}

/// That growth cannot be told from load.
fn moved_together(evidence: &Evidence<'_>, question: &Question<'_>) -> String {
    let component = &evidence.component.name;
    let (what, load) = (subject(question.of), load_of(evidence));
    format!(
        "whether {component} {what} grew cannot be told from {load}: load and time moved together, so that nothing says what load costs; a load that comes and goes would, and an even one costs nothing."
    )
}

/// The load as a sentence names it.
fn load_of<'e>(evidence: &'e Evidence<'_>) -> &'e str {
    evidence.load.as_deref().unwrap_or("load")
}

/// What an Inconclusive answer is undecided for.
fn undecided(
    evidence: &Evidence<'_>,
    question: &Question<'_>,
    fit: &Fit,
    worst: &Answer,
) -> Option<Undecided> {
    let interval = worst.interval?;
    // What load costs is told by how it moves, and not by how long.
    let told_by_time = worst.outcome == Outcome::Inconclusive && !fit.of_load;
    told_by_time.then_some(Undecided {
        estimate: worst.estimate?,
        interval,
        limit: worst.bound.limit,
        window_seconds: evidence.window.end - evidence.window.start,
        between: fit.between,
        long_lived: long_lived(evidence),
        fixed_horizon: question.fixed_horizon,
        wandering: fit.wandering,
    })
}

/// What an event of one kind surely leaves in every survivor, as the end of a sentence.
fn left_in_survivors(evidence: &Evidence<'_>, unit: &str) -> String {
    let surely = evidence.per_event.iter().find_map(|row| {
        let interval = row.interval.filter(|interval| interval.low > 0.0)?;
        Some((row, interval))
    });
    surely.map_or(String::new(), |(row, interval)| {
        format!(
            "; each {} leaves {} ({} to {}) in every survivor",
            row.name,
            value(row.growth, unit),
            value(interval.low, unit),
            value(interval.high, unit),
        )
    })
}

/// Such as `grew by 88 %`, `shrank by 3 tasks` or `did not grow`.
pub(crate) fn moved(change: f64, unit: &str) -> String {
    let size = value(change.abs(), unit);
    if size == value(0.0, unit) {
        "did not grow".to_owned()
    } else if change > 0.0 {
        format!("grew by {size}")
    } else {
        format!("shrank by {size}")
    }
}

/// Whether most of what is known of the slope comes from incarnations that lived through the window; a slope's
/// information grows with the cube of the length.
fn long_lived(evidence: &Evidence<'_>) -> bool {
    let information = |track: &Track| track.length().powi(3);
    let all: f64 = evidence.tracks.iter().map(information).sum();
    let long: f64 = evidence
        .tracks
        .iter()
        .filter(|track| track.length() >= 0.8)
        .map(information)
        .sum();
    long > all / 2.0
}
