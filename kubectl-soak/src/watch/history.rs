//! What criteria measured earlier, as far as we were there to see it.

use std::collections::{BTreeMap, VecDeque};

use ratatui::symbols::bar;
use soak_api::SoakTest;

/// So many estimates of a criterion are kept.
const KEPT: usize = 240;

/// The estimates of each criterion, the last one at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    estimates: BTreeMap<String, VecDeque<f64>>,
}

impl History {
    /// Takes down what has changed.
    pub(crate) fn note(&mut self, test: &SoakTest) {
        let estimates = test.status.iter().flat_map(|status| &status.estimates);
        for estimate in estimates {
            let past = self
                .estimates
                .entry(estimate.criterion.clone())
                .or_default();
            if past
                .back()
                .is_none_or(|last| last.to_bits() != estimate.estimate.to_bits())
            {
                past.push_back(estimate.estimate);
            }
            if past.len() > KEPT {
                past.pop_front();
            }
        }
    }

    /// The last estimates of a criterion as bars: one that is full is at the limit, or beyond.
    pub(crate) fn sparkline(&self, criterion: &str, limit: f64, columns: usize) -> String {
        let past = self.estimates.get(criterion);
        let past = past.into_iter().flatten();
        let bars: Vec<&str> = past.map(|estimate| bar_of(*estimate, limit)).collect();
        bars[bars.len().saturating_sub(columns)..].concat()
    }
}

fn bar_of(estimate: f64, limit: f64) -> &'static str {
    const BARS: [&str; 7] = [
        bar::ONE_EIGHTH,
        bar::ONE_QUARTER,
        bar::THREE_EIGHTHS,
        bar::HALF,
        bar::FIVE_EIGHTHS,
        bar::THREE_QUARTERS,
        bar::SEVEN_EIGHTHS,
    ];
    let share = estimate / limit;
    if estimate > 0.0 && estimate >= limit {
        return bar::FULL;
    }
    // At most nothing of nothing is no growth either.
    let reached = BARS.iter().enumerate().rev().find(|(eighth, _)| {
        let eighth = u32::try_from(*eighth).unwrap_or(u32::MAX);
        share >= f64::from(eighth) / 7.0
    });
    reached.map_or(BARS[0], |(_, bar)| bar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::soaking;

    fn noted(estimates: &[f64]) -> History {
        let mut history = History::default();
        for estimate in estimates {
            let mut test = soaking();
            let status = test.status.as_mut().expect("a status");
            status.estimates[0].estimate = *estimate;
            history.note(&test);
        }
        history
    }

    #[test]
    fn bars_rise_with_the_estimate_up_to_the_limit() {
        let history = noted(&[-3.0, 0.0, 1.0, 2.5, 4.9, 5.0, 80.0]);
        assert_eq!(history.sparkline("task-growth", 5.0, 20), "▁▁▂▄▇██");
        assert_eq!(history.sparkline("task-growth", 5.0, 3), "▇██");
        assert_eq!(history.sparkline("another", 5.0, 20), "");
    }

    #[test]
    fn of_a_limit_of_nothing_anything_is_beyond() {
        let history = noted(&[0.0, 1.0]);
        assert_eq!(history.sparkline("task-growth", 0.0, 20), "▁█");
    }

    #[test]
    fn what_is_written_again_unchanged_is_one_estimate() {
        let history = noted(&[2.5, 2.5, 2.5, 3.0]);
        assert_eq!(history.sparkline("task-growth", 5.0, 20).chars().count(), 2);
    }

    #[test]
    fn a_long_soak_does_not_take_ever_more_memory() {
        let many: Vec<f64> = (0..400).map(f64::from).collect();
        let history = noted(&many);
        assert_eq!(history.estimates["task-growth"].len(), KEPT);
        assert_eq!(history.estimates["task-growth"].back(), Some(&399.0));
    }
}
