//! What an outcome rests on, in one document that needs neither the cluster nor Prometheus: reports are made of it.

use std::io::{self, Read};

use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use serde::{Deserialize, Serialize};

use crate::{EventRecord, SoakTest};

/// The key under which it is kept in its ConfigMap.
pub const EVIDENCE_KEY: &str = "evidence.json.gz";

/// More than this is not read: one that was written has less than a tenth.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What is known of a soak at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Of the shape of this document.
    pub version: u32,
    /// The version of the operator that wrote it.
    pub operator: String,
    /// The SoakTest as it was judged: name, spec and status, without what the journal has of it.
    pub soak_test: SoakTest,
    /// Every chaos event, as in the journal, by its place in the plan.
    pub events: Vec<EventRecord>,
    /// What was measured, as far as an eye can tell.
    pub charts: Vec<Chart>,
}

/// What one or several criteria were judged on, with fewer points than were scraped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chart {
    /// The names of the criteria.
    pub criteria: Vec<String>,
    /// What was measured: a signal or a query.
    pub of: String,
    /// `tasks`, `bytes`, or empty.
    pub unit: String,
    /// One for each incarnation of a pod; of an expression that is about no pod, one for each series.
    pub lines: Vec<Line>,
    /// How many incarnations are not shown, for there are too many: the shortest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_shown: u32,
}

/// One incarnation of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its component, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub component: String,
    /// Its pod; of a series that is about no pod, its labels.
    pub name: String,
    /// Counts up for each start of a container under the same pod name, from 1.
    pub incarnation: u32,
    /// When each value was measured, in seconds since the warm-up began.
    pub seconds: Vec<f64>,
    /// The values, summed over what tells series of one incarnation apart.
    pub values: Vec<f64>,
}

impl Evidence {
    /// The version of the document that is written.
    pub const VERSION: u32 = 1;

    /// The document as it is kept: JSON, compressed, with fewer and fewer points until it has at most `most` bytes.
    pub fn encode(mut self, most: usize) -> io::Result<Vec<u8>> {
        loop {
            let json = serde_json::to_vec(&self)?;
            let mut bytes = Vec::new();
            GzEncoder::new(json.as_slice(), Compression::best()).read_to_end(&mut bytes)?;
            if bytes.len() <= most || !self.thins_out() {
                return Ok(bytes);
            }
        }
    }

    /// The document that was kept; an error where it is none, or one of a version that is not known.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut json = Vec::new();
        GzDecoder::new(bytes)
            .take(MOST_BYTES)
            .read_to_end(&mut json)?;
        let evidence: Self = serde_json::from_slice(&json)?;
        if evidence.version != Self::VERSION {
            let (theirs, ours) = (evidence.version, Self::VERSION);
            let message =
                format!("it is of version {theirs}, and this program knows version {ours}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(evidence)
    }

    /// Leaves out half of what can be spared; `false` where nothing can.
    fn thins_out(&mut self) -> bool {
        let mut any = false;
        for line in self.charts.iter_mut().flat_map(|chart| &mut chart.lines) {
            let last = line.seconds.len().saturating_sub(1);
            if last > 1 {
                let kept = |place: &usize| place.is_multiple_of(2) || *place == last;
                line.seconds = thinned(&line.seconds, kept);
                line.values = thinned(&line.values, kept);
                any = true;
            }
        }
        if any {
            return true;
        }
        for chart in &mut self.charts {
            let half = chart.lines.len() / 2;
            chart.not_shown += u32::try_from(chart.lines.len() - half).unwrap_or(u32::MAX);
            any |= !chart.lines.is_empty();
            chart.lines.truncate(half);
        }
        if any {
            return true;
        }
        // The journal has them.
        let half = self.events.len() / 2;
        any = !self.events.is_empty();
        self.events.truncate(half);
        any
    }
}

fn thinned(values: &[f64], kept: impl Fn(&usize) -> bool) -> Vec<f64> {
    let places = values.iter().enumerate();
    places
        .filter(|(place, _)| kept(place))
        .map(|(_, value)| *value)
        .collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(lines: usize, points: u32) -> Evidence {
        let test = serde_json::json!({
            "apiVersion": "soak-operator.io/v1alpha1", "kind": "SoakTest", "metadata": {"name": "demo"},
            "spec": {
                "duration": "1h",
                "workload": {"simulation": {"partitions": 6, "workers": {"replicas": 2}, "producers": {"replicas": 1}}},
                "criteria": [{"name": "tasks", "growth": {"signal": "Tasks", "maxPercent": 5}}],
            },
        });
        // Values that do not compress.
        let value = |i: u32| f64::from(i.wrapping_mul(2_654_435_761)) / 7.0;
        let line = |name: usize| Line {
            component: "worker".to_owned(),
            name: name.to_string(),
            incarnation: 1,
            seconds: (0..points).map(f64::from).collect(),
            values: (0..points).map(value).collect(),
        };
        Evidence {
            version: Evidence::VERSION,
            operator: "0.1.0".to_owned(),
            soak_test: serde_json::from_value(test).expect("a SoakTest"),
            events: Vec::new(),
            charts: vec![Chart {
                criteria: vec!["tasks".to_owned()],
                lines: (0..lines).map(line).collect(),
                ..Chart::default()
            }],
        }
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let evidence = evidence(3, 10);
        let bytes = evidence.clone().encode(1 << 20).expect("bytes");
        assert_eq!(Evidence::decode(&bytes).expect("evidence"), evidence);
    }

    #[test]
    fn too_much_gives_up_points_but_neither_the_first_nor_the_last_of_a_line() {
        let whole = evidence(10, 5_000);
        let bytes = whole.clone().encode(60_000).expect("bytes");
        assert!(bytes.len() <= 60_000, "{}", bytes.len());
        let kept = Evidence::decode(&bytes).expect("evidence");
        assert_eq!(kept.charts[0].lines.len(), 10);
        for (line, before) in kept.charts[0].lines.iter().zip(&whole.charts[0].lines) {
            assert!(line.values.len() > 50, "{}", line.values.len());
            assert_eq!(line.seconds.len(), line.values.len());
            assert_eq!(line.values.first(), before.values.first());
            assert_eq!(line.values.last(), before.values.last());
        }
    }

    #[test]
    fn far_too_much_gives_up_lines_and_says_how_many() {
        let bytes = evidence(4_000, 3).encode(4_000).expect("bytes");
        assert!(bytes.len() <= 4_000, "{}", bytes.len());
        let kept = Evidence::decode(&bytes).expect("evidence");
        let chart = &kept.charts[0];
        assert!(chart.not_shown > 0);
        assert_eq!(chart.lines.len() + chart.not_shown as usize, 4_000);
    }

    #[test]
    fn a_document_of_another_version_says_so() {
        let mut other = evidence(1, 1);
        other.version = 2;
        let bytes = other.encode(1 << 20).expect("bytes");
        let error = Evidence::decode(&bytes).expect_err("another version");
        assert_eq!(
            error.to_string(),
            "it is of version 2, and this program knows version 1"
        );
        assert!(Evidence::decode(b"no gzip").is_err());
    }
}
