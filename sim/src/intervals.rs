//! Sets of numbers as sorted, disjoint, inclusive intervals: what was received of a partition
//! stays a handful of pairs however long the soak lasts.

use serde::{Deserialize, Serialize};

/// A set of message numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Intervals {
    // Sorted, disjoint and never touching: (1,3),(4,6) is always (1,6).
    ranges: Vec<(u64, u64)>,
}

impl Intervals {
    /// Adds one number; false if it was already there.
    pub fn insert(&mut self, number: u64) -> bool {
        self.insert_range(number, number) == 1
    }

    /// Adds `first..=last`, and returns how many of them were new. An empty range adds nothing.
    pub fn insert_range(&mut self, first: u64, last: u64) -> u64 {
        if first > last {
            return 0;
        }
        // Everything from `from` up to `to` overlaps or touches the new range, and becomes one.
        let from = self
            .ranges
            .partition_point(|&(_, end)| end.saturating_add(1) < first);
        let to = self
            .ranges
            .partition_point(|&(start, _)| start <= last.saturating_add(1));
        let (mut start, mut end, mut known) = (first, last, 0);
        for &(other_start, other_end) in &self.ranges[from..to] {
            known += (other_end.min(last) + 1).saturating_sub(other_start.max(first));
            start = start.min(other_start);
            end = end.max(other_end);
        }
        self.ranges.splice(from..to, [(start, end)]);
        last - first + 1 - known
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: &Self) {
        for &(first, last) in &other.ranges {
            self.insert_range(first, last);
        }
    }

    /// Whether the number is in the set.
    pub fn contains(&self, number: u64) -> bool {
        let at = self.ranges.partition_point(|&(_, end)| end < number);
        self.ranges
            .get(at)
            .is_some_and(|&(start, _)| start <= number)
    }

    /// How many numbers the set holds.
    pub fn count(&self) -> u64 {
        self.ranges
            .iter()
            .map(|(first, last)| last - first + 1)
            .sum()
    }

    /// The highest number, if there is any.
    pub fn highest(&self) -> Option<u64> {
        self.ranges.last().map(|&(_, last)| last)
    }

    /// The numbers above `base` and below the highest that are not in the set.
    #[must_use]
    pub fn gaps_above(&self, base: u64) -> Self {
        let mut gaps = Self::default();
        let mut next = base + 1;
        for &(first, last) in &self.ranges {
            gaps.insert_range(next, first.saturating_sub(1));
            next = next.max(last + 1);
        }
        gaps
    }

    /// The numbers that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for &(first, last) in &self.ranges {
            let from = other.ranges.partition_point(|&(_, end)| end < first);
            for &(start, end) in other.ranges[from..]
                .iter()
                .take_while(|(start, _)| *start <= last)
            {
                both.insert_range(first.max(start), last.min(end));
            }
        }
        both
    }

    /// The intervals, both ends included, in ascending order.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }
}

impl From<Vec<(u64, u64)>> for Intervals {
    fn from(ranges: Vec<(u64, u64)>) -> Self {
        let mut set = Self::default();
        for (first, last) in ranges {
            set.insert_range(first, last);
        }
        set
    }
}

impl From<Intervals> for Vec<(u64, u64)> {
    fn from(set: Intervals) -> Self {
        set.ranges
    }
}

impl FromIterator<u64> for Intervals {
    fn from_iter<T: IntoIterator<Item = u64>>(numbers: T) -> Self {
        let mut set = Self::default();
        for number in numbers {
            set.insert(number);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn members(set: &Intervals) -> BTreeSet<u64> {
        set.ranges()
            .iter()
            .flat_map(|&(first, last)| first..=last)
            .collect()
    }

    proptest! {
        #[test]
        fn inserting_counts_exactly_what_is_new(ranges in prop::collection::vec((1u64..80, 0u64..12), 0..40)) {
            let (mut set, mut model) = (Intervals::default(), BTreeSet::new());
            for (first, length) in ranges {
                let before = model.len();
                model.extend(first..=first + length);
                let new = set.insert_range(first, first + length);
                prop_assert_eq!(new, (model.len() - before) as u64);
                prop_assert_eq!(&members(&set), &model);
                prop_assert!(set.ranges().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            }
            prop_assert_eq!(set.count(), model.len() as u64);
            for number in 0..100 {
                prop_assert_eq!(set.contains(number), model.contains(&number));
            }
        }

        #[test]
        fn merging_is_the_union_in_any_order(a in prop::collection::btree_set(1u64..60, 0..40), b in prop::collection::btree_set(1u64..60, 0..40)) {
            let (left, right): (Intervals, Intervals) = (a.iter().copied().collect(), b.iter().copied().collect());
            let (mut one, mut other) = (left.clone(), right.clone());
            one.merge(&right);
            other.merge(&left);
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(members(&one), a.union(&b).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(members(&left.intersection(&right)), a.intersection(&b).copied().collect::<BTreeSet<_>>());
        }

        #[test]
        fn gaps_are_all_that_is_missing_below_the_highest(a in prop::collection::btree_set(1u64..60, 0..40), base in 0u64..10) {
            let set: Intervals = a.iter().copied().collect();
            let highest = a.last().copied().unwrap_or(0);
            let expected: BTreeSet<u64> = (base + 1..highest.max(base + 1)).filter(|n| !a.contains(n)).collect();
            prop_assert_eq!(members(&set.gaps_above(base)), expected);
        }
    }

    #[test]
    fn a_missing_head_is_a_gap() {
        let set: Intervals = (3..=5).collect();
        assert_eq!(set.gaps_above(0).ranges(), [(1, 2)]);
    }

    #[test]
    fn what_was_written_reads_back() {
        let set = Intervals::from(vec![(1, 4), (7, 7)]);
        let text = serde_json::to_string(&set).expect("encodes");
        assert_eq!(text, "[[1,4],[7,7]]");
        assert_eq!(
            serde_json::from_str::<Intervals>(&text).expect("decodes"),
            set
        );
    }
}
