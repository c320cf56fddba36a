//! Looks at a soak that still runs: what it comes to so far, and whether a criterion that fails fast surely has failed.
//!
//! A look goes on beside everything else, so that no chaos event waits for Prometheus. What it came to is kept until the next
//! one, for the next write of the status to bring along, and if the operator dies meanwhile, its successor looks anew.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use soak_api::verdict::{self, Judgement, LOOKS, Outcome};
use soak_api::{Estimate, FailedFast, SoakTest, SoakTestStatus, Unmeasured};

use super::series::Observation;
use super::signals::Signals;
use crate::aside::aside;
use crate::context::Context;
use crate::journal::Journal;
use crate::observed::{Look, Looking};

/// How many criteria the status shows while the soak runs.
const SHOWN: usize = 10;

/// A look that takes longer is given up; the next one is not far.
const LOOKED_WITHIN: Duration = Duration::from_secs(60);

/// Begins a look where one is due, and tells where that stands.
pub(crate) fn look(
    test: &SoakTest,
    status: &SoakTestStatus,
    journal: &Arc<Journal>,
    ctx: &Arc<Context>,
    now: Timestamp,
) -> Looking {
    if status.failed_fast.is_some() || status.times.soaking.is_none() {
        return Looking::Never;
    }
    let remembered = ctx.remembered(test);
    let since = remembered.looked_at.unwrap_or(now);
    if remembered.looking == Looking::Underway && now < since + 2 * LOOKED_WITHIN {
        return Looking::Underway;
    }
    let next = remembered.looked_at.map_or(now, |last| last + every(test));
    if now < next {
        return Looking::From(next);
    }
    ctx.remember(test, |memory| {
        memory.looking = Looking::Underway;
        memory.looked_at = Some(now);
    });
    let (test, journal, ctx) = (Arc::new(test.clone()), journal.clone(), ctx.clone());
    tokio::spawn(async move {
        let looked = tokio::time::timeout(LOOKED_WITHIN, taken(&test, &journal, &ctx, now)).await;
        if let Ok(Err(problem)) = &looked {
            tracing::debug!(problem, "a look at a running soak came to nothing");
        }
        ctx.remember(&test, |memory| {
            memory.looking = Looking::Never;
            memory.look = looked.ok().and_then(Result::ok).or(memory.look.take());
        });
    });
    Looking::Underway
}

/// How often a running soak is looked at.
pub(crate) fn every(test: &SoakTest) -> SignedDuration {
    let duration = test.spec.duration.duration();
    let pause = if duration < Duration::from_secs(20 * 60) {
        Duration::from_secs(15)
    } else {
        (duration / 50).max(Duration::from_secs(60))
    };
    SignedDuration::try_from(pause).unwrap_or(SignedDuration::from_mins(1))
}

/// How many of the planned looks are due by now; none where no criterion fails fast. One that was missed is not made up for:
/// the next sees what it would have seen.
fn due(test: &SoakTest, began: Timestamp, now: Timestamp) -> u32 {
    if !test
        .spec
        .criteria
        .iter()
        .any(|criterion| criterion.fail_fast)
    {
        return 0;
    }
    let gone = now.duration_since(began).as_secs_f64();
    let duration = test.spec.duration.duration().as_secs_f64();
    let due = LOOKS
        .iter()
        .filter(|share| **share * duration <= gone)
        .count();
    u32::try_from(due).unwrap_or(u32::MAX)
}

async fn taken(
    test: &Arc<SoakTest>,
    journal: &Journal,
    ctx: &Context,
    now: Timestamp,
) -> Result<Look, String> {
    let _one_of_few = ctx
        .judging
        .acquire()
        .await
        .map_err(|_| "the operator is stopping".to_owned())?;
    let status = test.status.clone().unwrap_or_default();
    let began = status.times.soaking.ok_or("the soak has not begun")?;
    let last = ctx.remembered(test).look.unwrap_or_default();
    let (mut look, decisive) = Look::after(&last, status.looks, due(test, began, now));
    let duration = test.spec.duration.duration().as_secs_f64();
    let observation = Observation::of(test, journal, now).ok_or("the soak has not begun")?;
    let prometheus = ctx.prometheus(test)?;
    let mut signals = Signals::new(test, &observation, &prometheus);
    for criterion in &test.spec.criteria {
        let Ok(kind) = criterion.kind() else { continue };
        let run = match signals.run(&kind).await.map_err(|e| e.to_string())? {
            Ok(run) => run,
            Err(why) => {
                look.lacks(&criterion.name, &why);
                continue;
            }
        };
        let fails_fast = criterion.fail_fast && decisive && look.failed.is_none();
        let (so_far, judged) = aside(move || {
            let judged = fails_fast.then(|| verdict::look(&kind, &run, duration));
            (verdict::so_far(&kind, &run), judged)
        })
        .await?;
        match estimate(&criterion.name, &so_far) {
            Some(estimate) if look.estimates.len() < SHOWN => look.estimates.push(estimate),
            Some(_) => {}
            None => look.lacks(&criterion.name, &so_far.sentence),
        }
        if let Some(judged) = judged.filter(|judged| judged.outcome == Outcome::Failed) {
            look.failed = Some(FailedFast {
                criterion: criterion.name.clone(),
                at: now,
                sentence: judged.sentence,
            });
        }
    }
    Ok(look)
}

impl Look {
    /// What goes on from the last look, and whether this is one of the planned ones, of which so many are due and so many
    /// written down: what could not be written down yet has been taken all the same, and to take it again would give a
    /// criterion one more chance to fail by chance.
    fn after(last: &Self, written: u32, due: u32) -> (Self, bool) {
        let taken = written.max(last.taken);
        let look = Self {
            taken: due.max(taken),
            failed: last.failed.clone(),
            ..Self::default()
        };
        (look, due > taken)
    }

    fn lacks(&mut self, criterion: &str, why: &str) {
        if self.unmeasured.len() < SHOWN {
            self.unmeasured.push(Unmeasured::new(criterion, why));
        }
    }
}

fn estimate(name: &str, judgement: &Judgement) -> Option<Estimate> {
    Some(Estimate {
        criterion: name.to_owned(),
        component: judgement.component.clone().unwrap_or_default(),
        estimate: judgement.estimate.filter(|number| number.is_finite())?,
        interval: judgement
            .interval
            .filter(|i| i.low.is_finite() && i.high.is_finite()),
        limit: judgement.limit,
        unit: judgement.unit.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planned_look_that_is_not_written_down_yet_is_not_taken_again_and_stays_what_it_came_to() {
        let failed = FailedFast {
            criterion: "memory".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            sentence: "it grows".to_owned(),
        };
        let last = Look {
            taken: 2,
            failed: Some(failed.clone()),
            ..Look::default()
        };
        let (again, decisive) = Look::after(&last, 1, 2);
        assert!(!decisive);
        assert_eq!((again.taken, again.failed), (2, Some(failed)));
        let (next, decisive) = Look::after(&last, 1, 3);
        assert!(decisive && next.taken == 3);
        let (first, decisive) = Look::after(&Look::default(), 2, 3);
        assert!(decisive && first.taken == 3, "of a process that came after");
        assert!(!Look::after(&Look::default(), 3, 3).1);
    }
}
