//! Decides from samples whether a system grows, and says how sure it is.
//!
//! The crate is pure: it knows no clock, no cluster and no client. [`judge`] takes what was observed in one soak as a
//! [`Run`] and one [`Criterion`], and answers with a [`Judgement`]: the outcome, the estimate with its interval, and
//! the evidence a person needs to trust it.
//!
//! Two rules hold everywhere. A criterion is Passed only when the whole interval of what was measured lies at or under
//! the limit; and whatever could not be measured is Inconclusive, never Passed.

mod criterion;
mod judgement;
mod run;

pub use criterion::{
    Criterion, CriterionKind, Delta, Growth, Increase, InvalidCriterion, Quantity, Signal, Span,
    Threshold, Trend,
};
pub use judgement::{Interval, Judgement, Outcome, SeriesGrowth};
pub use run::{ChaosEvent, Component, IncarnationSeries, Run, Sample, Window};
