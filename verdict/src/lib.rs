//! Decides from samples whether a system grows, and says how sure it is.
//!
//! The crate is pure: it knows no clock, no cluster and no client. [`judge`] takes what was observed in one soak as a
//! [`Run`] and one [`Criterion`], and answers with a [`Judgement`]: the outcome, the estimate with its interval, and
//! the evidence a person needs to trust it.
//!
//! Two rules hold everywhere. A criterion is Passed only when the whole interval of what was measured lies at or under
//! the limit; and whatever could not be measured is Inconclusive, never Passed.

#![allow(
    clippy::float_cmp,
    reason = "instants and counts are compared as they were scraped: equal means the same one"
)]

mod autocorrelation;
mod bound;
mod criterion;
mod delta;
mod early;
mod evidence;
mod fitted;
mod floor;
mod footprint;
mod growth;
mod increase;
mod judgement;
mod levels;
mod load;
mod noise;
mod parts;
mod per_event;
mod projection;
mod quantity;
mod recording;
mod recovery;
mod run;
mod samples;
mod selector;
mod settled;
mod shape;
mod slope;
mod soak_length;
mod student;
mod threshold;
mod trend;
pub mod wording;

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod error_rates;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod load_rates;
#[cfg(test)]
mod simulator;

pub use criterion::{
    Criterion, CriterionKind, Delta, Growth, Increase, InvalidCriterion, Measured, Recovery,
    Signal, Source, Span, Threshold, Trend,
};
pub use early::{LOOKS, SPENT, judge_with_looks, look, so_far};
pub use footprint::{Amount, Footprint, FootprintRow, footprints};
pub use judgement::{Course, Interval, Judgement, Outcome, Reach, SeriesGrowth};
pub use quantity::{Quantity, quantity_value};
pub use recording::{Judged, RecordedEvent, RecordedSeries, RecordedSignal, Recording, Report};
pub use run::{ChaosEvent, Component, IncarnationSeries, Run, Sample, Window};
pub use selector::Selector;

/// Judges one criterion on what was observed.
///
/// Total: any input has an answer, and an input that makes no sense is Inconclusive. Linear in samples but for sorting
/// them. Where the run has gaps, nothing is Passed; what surely failed stays Failed.
pub fn judge(criterion: &CriterionKind, run: &Run) -> Judgement {
    judge_at(criterion, run, DOUBT)
}

/// The two-sided doubt of a 95 % interval.
const DOUBT: f64 = 0.05;

/// Judges with intervals that leave out `doubt`.
fn judge_at(criterion: &CriterionKind, run: &Run, doubt: f64) -> Judgement {
    if let Some(problem) = run.problem() {
        return Judgement::unjudged(problem);
    }
    let judgement = match criterion {
        CriterionKind::Growth(of, growth) => growth::judge(of, growth, run, doubt),
        CriterionKind::Trend(of, trend) => trend::judge(of, trend, run, doubt),
        CriterionKind::Increase(increase) => increase::judge(increase, run),
        CriterionKind::Threshold(threshold) => threshold::judge(threshold, run, doubt),
        CriterionKind::Delta(of, delta) => delta::judge(of, delta, run),
        CriterionKind::Recovery(recovery) => recovery::judge(recovery, run, doubt),
    };
    judgement.doubted_for(&run.gaps)
}
