//! The parts of a signal by label value, such as the tasks of each component inside a pod.

use crate::DOUBT;
use crate::evidence::{Evidence, level_at};
use crate::judgement::SeriesGrowth;
use crate::noise::Point;
use crate::slope::{Fit, even_fit, quick_growth};

/// So many parts, those that grow most, are looked at by themselves.
const MOST_CONTRIBUTIONS: usize = 10;

/// What one label value did in all incarnations.
pub(crate) struct LabelPart<'e> {
    pub(crate) name: &'e str,
    pub(crate) tracks: Vec<Vec<Point>>,
    /// Its level in a pod at the window's start.
    pub(crate) level: Option<f64>,
    pub(crate) even: Option<Fit>,
}

impl<'e> LabelPart<'e> {
    /// The label values that grow most, the largest first.
    pub(crate) fn all(evidence: &'e Evidence<'_>) -> Vec<Self> {
        let mut parts: Vec<(f64, &str, Vec<Vec<Point>>)> = evidence
            .parts()
            .into_iter()
            .map(|(name, tracks)| (quick_growth(&tracks), name, tracks))
            .collect();
        parts.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        parts.truncate(MOST_CONTRIBUTIONS);
        parts
            .into_iter()
            .map(|(_, name, tracks)| Self {
                name,
                level: level_at(tracks.iter().flatten(), -1.0),
                even: even_fit(&tracks),
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
