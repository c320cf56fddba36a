//! Holds the growth of one component against its limits.

use std::cmp::Ordering;

use crate::criterion::Signal;
use crate::evidence::{Evidence, Track};
use crate::judgement::{Interval, Judgement, Outcome, SeriesGrowth};
use crate::slope::{Fit, Search, even_fit, fit, quick_growth};
use crate::soak_length::Undecided;
use crate::student::Belief;
use crate::wording::{count, subject, unit, value};

/// What a slope is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
    /// From the growth of the mean pod over the window to the bound's unit.
    pub(crate) factor: f64,
    /// From the growth of one pod over the window to the bound's unit, for that pod by itself.
    pub(crate) pod_factor: f64,
}

/// What is asked of each component.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) signal: Signal,
    /// Such as `over 5m`.
    pub(crate) over: String,
    /// What growth is, and what else a signal may do.
    pub(crate) search: Search,
    /// Whether growth is projected over a horizon of its own.
    pub(crate) fixed_horizon: bool,
}

/// The two-sided doubt of a 95 % interval.
const DOUBT: f64 = 0.05;

/// A pod judged by itself has been watched for at least this share of the window: a short life proves no growth.
const LEAST_POD_LENGTH: f64 = 0.25;

/// And has at least this many blocks.
const LEAST_POD_BLOCKS: usize = 5;

const MOST_PODS: usize = 5;
const MOST_CONTRIBUTIONS: usize = 10;

/// Judges one component; `bounds` are worked out from the level at the window's start, and all of them must hold.
pub(crate) fn judge_component(
    evidence: &Evidence<'_>,
    question: &Question,
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
    let tracks: Vec<_> = evidence
        .tracks
        .iter()
        .map(|track| track.points.clone())
        .collect();
    let Some(fit) = fit(&tracks, &question.search) else {
        return inconclusive(format!(
            "the growth of {} {} could not be worked out from {}.",
            evidence.component.name,
            subject(question.signal),
            count(evidence.samples, "sample"),
        ));
    };
    let answers: Vec<Answer> = bounds
        .iter()
        .map(|bound| Answer::to(evidence, &question.search, &fit, *bound))
        .collect();
    let Some(worst) = answers.iter().max_by(|a, b| a.severity(b)) else {
        return inconclusive("the criterion sets no limit.".to_owned());
    };
    let contributions = contributions(evidence);
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
        excluded: evidence.excluded.clone(),
        sentence,
    }
}

/// The judgement that decides: the worst outcome, and among equals the one nearest to its limit.
pub(crate) fn worst_of(judgements: Vec<Judgement>) -> Judgement {
    judgements
        .into_iter()
        .reduce(|worst, next| {
            let nearness = |judgement: &Judgement| nearness(judgement.interval, judgement.limit);
            let order = next
                .outcome
                .cmp(&worst.outcome)
                .then(nearness(&next).total_cmp(&nearness(&worst)));
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
    /// The track that decides by itself.
    alone: Option<usize>,
}

impl Answer {
    fn to(evidence: &Evidence<'_>, search: &Search, fit: &Fit, bound: Bound) -> Self {
        let growth = fit.growth.times(bound.factor);
        let interval = growth.interval(DOUBT);
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
        Self::for_worst_pod(evidence, search, fit, bound).unwrap_or(answer)
    }

    /// The pod that surely grows above the limit by itself, at a level corrected for how many pods were looked at
    /// (Bonferroni; for the worst of them Holm's, 1979, is the same).
    fn for_worst_pod(
        evidence: &Evidence<'_>,
        search: &Search,
        together: &Fit,
        bound: Bound,
    ) -> Option<Self> {
        let doubt = DOUBT / evidence.tracks.len() as f64;
        let (surest, growth, chance) = evidence
            .tracks
            .iter()
            .zip(&together.each)
            .enumerate()
            .filter(|(_, (track, _))| {
                track.length() >= LEAST_POD_LENGTH && track.points.len() >= LEAST_POD_BLOCKS
            })
            .map(|(index, (_, growth))| {
                let growth = growth.times(bound.pod_factor);
                let chance = growth.at_most(bound.limit);
                (index, growth, chance)
            })
            .min_by(|(_, _, a), (_, _, b)| a.total_cmp(b))?;
        if chance >= doubt / 2.0 {
            return None;
        }
        // What this pod alone does beside growing, such as a step of its own, is not seen beside the others.
        let track = vec![evidence.tracks.get(surest)?.points.clone()];
        let growth = fit(&track, search)?.growth.times(bound.pod_factor);
        let interval = growth.interval(doubt);
        (Outcome::at_most(interval, bound.limit) == Outcome::Failed).then(|| Self {
            bound,
            outcome: Outcome::Failed,
            estimate: growth.estimate(),
            interval,
            alone: Some(surest),
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

/// The growth of each label value for the whole component, the largest first.
fn contributions(evidence: &Evidence<'_>) -> Vec<SeriesGrowth> {
    let replicas = f64::from(evidence.component.replicas);
    let mut parts: Vec<(&str, Vec<_>, f64)> = evidence
        .parts()
        .into_iter()
        .map(|(name, tracks)| {
            let growth = quick_growth(&tracks);
            (name, tracks, growth)
        })
        .collect();
    parts.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(b.0)));
    parts.truncate(MOST_CONTRIBUTIONS);
    let mut contributions: Vec<SeriesGrowth> = parts
        .into_iter()
        .filter_map(|(name, tracks, _)| {
            let growth = even_fit(&tracks)?.growth.times(replicas);
            Some(SeriesGrowth {
                name: name.to_owned(),
                growth: growth.estimate()?,
                interval: growth.interval(DOUBT),
            })
        })
        .collect();
    contributions.sort_by(|a, b| b.growth.total_cmp(&a.growth).then(a.name.cmp(&b.name)));
    contributions
}

fn sentence(
    evidence: &Evidence<'_>,
    question: &Question,
    fit: &Fit,
    worst: &Answer,
    answers: &[Answer],
    contributions: &[SeriesGrowth],
) -> String {
    let component = &evidence.component.name;
    let what = subject(question.signal);
    let subject = match worst.alone.and_then(|index| evidence.tracks.get(index)) {
        Some(track) => format!("{component} {what} of pod {} alone", track.name),
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
            "how much {subject} grew {} in {} cannot be said, since the level at the start is not above 0; a limit in {} would decide",
            question.over,
            bound.unit,
            unit(question.signal),
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
        (Outcome::Failed, ..) if worst.alone.is_none() => {
            let rise: f64 = contributions.iter().map(|part| part.growth.max(0.0)).sum();
            contributions
                .first()
                .filter(|part| part.growth > rise / 2.0)
                .map_or(String::new(), |most| {
                    format!(": most of it in {}", most.name)
                })
        }
        (Outcome::Inconclusive, Some(estimate), Some(interval)) => {
            let undecided = Undecided {
                estimate,
                half_width: (interval.high - interval.low) / 2.0,
                limit: bound.limit,
                window_seconds: evidence.window.end - evidence.window.start,
                between: fit.between,
                long_lived: long_lived(evidence),
                fixed_horizon: question.fixed_horizon,
                wandering: fit.wandering,
            };
            format!(": not certain either way; {}", undecided.advice())
        }
        _ => String::new(),
    };
    format!("{measured}{others}{remark}.")
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
