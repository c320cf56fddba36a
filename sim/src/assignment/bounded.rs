//! Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2018): nobody is given
//! much more than the others, and little moves when a member goes.

use std::collections::BTreeMap;

use super::ring::Ring;

/// How far above the fairest share a member may be.
const ROOM: f64 = 1.15;

/// The owner of each partition, the heaviest first: the first on the ring that has room for it, or
/// the least loaded where nobody has. Empty on an empty ring.
pub(super) fn owners(ring: &Ring, members: usize, weights: &[f64]) -> Vec<u32> {
    let most = ROOM * fairest(members, weights);
    let mut loads: BTreeMap<u32, f64> = BTreeMap::new();
    let mut owners = vec![None; weights.len()];
    for partition in heaviest_first(weights) {
        let weight = weights[partition as usize];
        let load = |id: u32| loads.get(&id).copied().unwrap_or(0.0);
        let candidates = ring.candidates(partition, members);
        let roomy = candidates.iter().find(|id| load(**id) + weight <= most);
        let lightest = || {
            candidates
                .iter()
                .min_by(|a, b| load(**a).total_cmp(&load(**b)))
        };
        if let Some(&owner) = roomy.or_else(lightest) {
            *loads.entry(owner).or_default() += weight;
            owners[partition as usize] = Some(owner);
        }
    }
    owners.into_iter().flatten().collect()
}

/// The least that the most loaded member can have: the mean, or more where partitions are heavy.
/// Of the heaviest k x members + 1, some member has k + 1.
pub(super) fn fairest(members: usize, weights: &[f64]) -> f64 {
    let mut sorted = weights.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let mean = sorted.iter().sum::<f64>() / members.max(1) as f64;
    let piled = sorted.iter().step_by(members.max(1)).zip(1..);
    piled
        .map(|(lightest, count)| f64::from(count) * lightest)
        .fold(mean, f64::max)
}

fn heaviest_first(weights: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..).take(weights.len()).collect();
    // Stable: among equals the lower number comes first, in every process.
    order.sort_by(|a, b| weights[*b as usize].total_cmp(&weights[*a as usize]));
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::weights::{Distribution, Weights};

    fn loads(members: &BTreeSet<u32>, weights: &[f64]) -> Vec<f64> {
        let owners = owners(&Ring::of(members), members.len(), weights);
        assert_eq!(owners.len(), weights.len());
        members
            .iter()
            .map(|id| {
                let own = owners.iter().zip(weights).filter(|(owner, _)| *owner == id);
                own.map(|(_, weight)| weight).sum()
            })
            .collect()
    }

    fn exponential(share: f64, weight: f64, partitions: u32) -> Vec<f64> {
        let weights = Weights {
            distribution: Distribution::Exponential,
            extreme_share_percent: share,
            extreme_weight: weight,
        };
        weights.of(partitions)
    }

    #[test]
    fn the_fairest_share_is_the_mean_unless_partitions_are_heavier() {
        let close = |share: f64, to: f64| assert!((share - to).abs() < 1e-9, "{share}, not {to}");
        close(fairest(2, &[1.0; 4]), 2.0);
        close(fairest(2, &[1.0; 5]), 3.0);
        close(fairest(4, &[100.0, 1.0, 1.0, 1.0, 1.0]), 100.0);
        close(fairest(2, &[100.0, 100.0, 100.0]), 200.0);
    }

    proptest! {
        // Each case hashes thousands of points: fewer of them say as much.
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// The balance that is promised: nobody is more than 15 % above the fairest share.
        #[test]
        fn nobody_carries_more_than_15_percent_above_the_fairest_share(
            members in prop::collection::btree_set(0u32..120, 1..40),
            each in 10usize..30, share in 0.0..20.0, weight in 1.0..200.0
        ) {
            let partitions = u32::try_from(members.len() * each).expect("few");
            let weights = exponential(share, weight, partitions);
            let most = loads(&members, &weights).into_iter().fold(0.0, f64::max);
            let fair = fairest(members.len(), &weights);
            prop_assert!(most <= 1.15 * fair + 1e-9, "{most} where {fair} is fair");
        }
    }

    #[test]
    fn at_the_design_size_most_of_the_weight_stays_when_a_worker_goes() {
        let weights = exponential(5.0, 100.0, 1500);
        let all: BTreeSet<u32> = (0..100).collect();
        let before = owners(&Ring::of(&all), all.len(), &weights);
        let total: f64 = weights.iter().sum();
        for gone in (0..100).step_by(9) {
            let fewer: BTreeSet<u32> = all.iter().copied().filter(|id| *id != gone).collect();
            let after = owners(&Ring::of(&fewer), fewer.len(), &weights);
            let kept: f64 = (0..1500)
                .filter(|p| before[*p] == after[*p])
                .map(|p| weights[p])
                .sum();
            assert!(kept >= 0.9 * total, "without {gone}: {kept} of {total}");
        }
    }
}
