//! What can be told of a soak before it begins, by the code that will run it.
//!
//! [`foresee`] lists the chaos events, and what each would do if all went well. [`doubts`] says why the soak could not pass
//! even then.

mod best_case;
mod doubts;

use std::time::Duration;

use soak_api::{ChaosKind, Plan, PlanError, SoakTest, Span};

use crate::chaos::{self, Deed};
use crate::workload;

pub use doubts::{Doubt, doubts};

/// An event of the plan, before the soak has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    /// Its place in the plan, from 0.
    pub index: u32,
    /// When it is due, from the start of the judged window.
    pub at: Duration,
    /// Its entry in `spec.chaos.events`, from 0.
    pub entry: usize,
    /// What it is.
    pub kind: ChaosKind,
    /// How many pods its component is planned to have.
    pub replicas: u32,
    /// How long it lasts until it is undone; nothing where there is nothing to undo.
    pub lasts: Duration,
    /// What it does.
    pub does: Does,
}

/// What an event does to a component all pods of which are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// It hits the pod of that rank, from 0: the oldest first, then by name.
    Hits(usize),
    /// It hits the leader, whichever pod that is by then; nobody knows yet, so take the one of that rank.
    HitsTheLeaderOf(usize),
    /// It scales the component to so many pods.
    ScalesTo(u32),
    /// It replaces all pods.
    ReplacesAll,
    /// Nothing: `guard.minReadyPercent` never allows it.
    IsRefused,
}

/// The chaos events of the soak under this seed, in the order in which they are due; none without chaos.
///
/// # Errors
///
/// [`PlanError`] where there is no plan.
pub fn foresee(test: &SoakTest, seed: i64) -> Result<Vec<Foreseen>, PlanError> {
    let Some(spec) = &test.spec.chaos else {
        return Ok(Vec::new());
    };
    let plan = Plan::new(seed, Plan::VERSION, spec, test.spec.duration.duration())?;
    let foreseen = plan.events().iter().filter_map(|planned| {
        let kind = plan.kind(planned)?.clone();
        let replicas = workload::replicas(test, kind.component());
        let too_few = replicas <= chaos::least_ready(&spec.guard, replicas);
        let rank = planned.rank(replicas as usize);
        let deed = chaos::deed(test, &plan, planned);
        let lasts = deed.as_ref().and_then(Deed::lasts).map(Span::duration);
        let does = match deed {
            None => Does::IsRefused,
            Some(Deed::Scale { replicas, .. }) => Does::ScalesTo(replicas),
            Some(Deed::Rollout) => Does::ReplacesAll,
            Some(_) if too_few => Does::IsRefused,
            Some(_) if chaos::event(&kind).leader().is_some() => Does::HitsTheLeaderOf(rank),
            Some(_) => Does::Hits(rank),
        };
        Some(Foreseen {
            index: planned.index,
            at: planned.at,
            entry: planned.entry,
            kind,
            replicas,
            lasts: lasts.unwrap_or_default(),
            does,
        })
    });
    Ok(foreseen.collect())
}
