//! The parts of a signal by label value, such as the tasks of each component inside a pod.

use crate::DOUBT;
use crate::evidence::{Evidence, level_at};
use crate::judgement::SeriesGrowth;
use crate::load::Tracks;
use crate::slope::{Fit, quick_growth};

/// So many parts, those that grow most, are looked at by themselves.
const MOST_CONTRIBUTIONS: usize = 10;

/// What one label value did in all incarnations.
pub(crate) struct LabelPart<'e> {
    pub(crate) name: &'e str,
    pub(crate) tracks: Tracks,
    /// Its level in a pod at the window's start.
    pub(crate) level: Option<f64>,
    pub(crate) even: Option<Fit>,
}

impl<'e> LabelPart<'e> {
    /// The label values that grow most, the largest first. At equal load each has a cost of its own; one whose cost cannot
    /// be told is left out. `tail` is that of [`Tracks::at_equal_load`].
    pub(crate) fn all(evidence: &'e Evidence<'_>, tail: Option<f64>) -> Vec<Self> {
        let mut parts: Vec<(f64, &str, Option<f64>, Tracks)> = evidence
            .parts()
            .into_iter()
            .filter_map(|(name, levels)| {
                let level = level_at(levels.iter().flat_map(|levels| &levels.points), -1.0);
                let tracks = evidence.part_at_equal_load(&levels, tail).ok()?;
                Some((quick_growth(&tracks.points), name, level, tracks))
            })
            .collect();
        parts.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        parts.truncate(MOST_CONTRIBUTIONS);
        parts
            .into_iter()
            .map(|(_, name, level, tracks)| Self {
                name,
                level,
                even: tracks.even_fit(),
                tracks,
            })
            .collect()
    }
}

/// The growth of each label value for the whole component, the largest first.
pub(crate) fn contributions(evidence: &Evidence<'_>, parts: &[LabelPart<'_>]) -> Vec<SeriesGrowth> {
    let mut contributions: Vec<SeriesGrowth> = parts
        .iter()
        .filter_map(|part| of_component(evidence, part.name, part.even.as_ref()?))
        .collect();
    contributions.sort_by(|a, b| b.growth.total_cmp(&a.growth).then(a.name.cmp(&b.name)));
    contributions
}

/// What all planned pods grow together when the mean one grows as fitted.
pub(crate) fn of_component(
    evidence: &Evidence<'_>,
    name: &str,
    even: &Fit,
) -> Option<SeriesGrowth> {
    let growth = even.growth.times(f64::from(evidence.component.replicas));
    Some(SeriesGrowth {
        name: name.to_owned(),
        growth: growth.estimate()?,
        interval: growth.interval(DOUBT),
    })
}
