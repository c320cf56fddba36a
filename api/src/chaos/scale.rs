use std::num::NonZeroI32;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use soak_verdict::Span;

/// Changes how many pods a component has, keeps it so for a while, and changes it back. Refused where an autoscaler scales
/// the component. Proven by as many pods ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.component == 'worker'").message("scale changes worker only: every producer has its fixed share of the load"))]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// The component that is scaled: worker.
    #[schemars(length(min = 1, max = 63))]
    pub component: String,
    /// How many pods more or fewer: drawn evenly, 0 left out, as far as guard.minReadyPercent allows.
    pub by: Change,
    /// How long the component stays so before it is scaled back.
    #[x_kube(validation = Rule::new(concat!("!self.matches(", span!(), ") || duration(self) >= duration('1s') && duration(self) <= duration('24h')")).message("for must be from 1s to 24h"))]
    #[serde(default = "one_minute", rename = "for")]
    pub lasts: Span,
}

/// A stretch of changes to draw from, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("self.min <= self.max").message("min must not be larger than max"),
    validation = Rule::new("self.min != 0 || self.max != 0").message("from 0 to 0 changes nothing: set min below 0 or max above")
)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The smallest; below 0 for fewer pods.
    #[schemars(range(min = -1_000, max = 1_000))]
    pub min: i32,
    /// The largest.
    #[schemars(range(min = -1_000, max = 1_000))]
    pub max: i32,
}

impl Scale {
    /// What `draw`, evenly over all of u64, changes a component of so many planned pods by, if at least `least` and never
    /// none are to be left; `None` where nothing in the range allows that.
    pub fn change(&self, draw: u64, planned: u32, least: u32) -> Option<NonZeroI32> {
        let planned = i64::from(planned);
        let fewest = i64::from(least.max(1)) - planned;
        let (min, max) = (i64::from(self.by.min).max(fewest), i64::from(self.by.max));
        let holds_none = min <= 0 && max >= 0;
        let count = u64::try_from(max - min + 1 - i64::from(holds_none)).ok()?;
        let place = (u128::from(draw) * u128::from(count)) >> 64;
        let drawn = min + i64::try_from(place).ok()?;
        // What comes after the 0 that is left out moves up by one.
        let drawn = drawn + i64::from(holds_none && drawn >= 0);
        NonZeroI32::new(i32::try_from(drawn).ok().filter(|_| count > 0)?)
    }
}

fn one_minute() -> Span {
    Span::from_seconds(60)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn scale(min: i32, max: i32) -> Scale {
        Scale {
            component: "worker".to_owned(),
            by: Change { min, max },
            lasts: one_minute(),
        }
    }

    proptest! {
        #[test]
        fn a_change_lies_in_its_range_and_leaves_enough_pods(
            a in -20..20_i32, b in -20..20_i32, draw in any::<u64>(), planned in 1..20_u32, least in 0..20_u32,
        ) {
            let (min, max) = (a.min(b), a.max(b));
            match scale(min, max).change(draw, planned, least) {
                Some(change) => {
                    prop_assert!((min..=max).contains(&change.get()));
                    prop_assert!(i64::from(planned) + i64::from(change.get()) >= i64::from(least.max(1)));
                }
                None => for change in (min..=max).filter(|change| *change != 0) {
                    prop_assert!(i64::from(planned) + i64::from(change) < i64::from(least.max(1)));
                },
            }
        }
    }

    #[test]
    fn every_change_of_the_range_is_drawn_but_none_at_all() {
        let changes = (0..1_000).filter_map(|i| scale(-2, 3).change(i * (u64::MAX / 1_000), 10, 5));
        let all: BTreeSet<i32> = changes.map(NonZeroI32::get).collect();
        assert_eq!(all, BTreeSet::from([-2, -1, 1, 2, 3]));
    }
}
