//! How heavy each partition is: its share of the messages, and of a worker.

use clap::{Args, ValueEnum};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::args::{percent, positive};

/// Lighter than this no partition is: it would hardly ever have a message.
const LIGHTEST: f64 = 0.1;
/// Tells the order in which partitions are weighed from the places that they have on the ring.
const SEED: u64 = 1;

/// How weights are spread over partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum Distribution {
    /// Every partition weighs 1.
    #[default]
    Uniform,
    /// A few partitions are extreme, the others exponential with a mean of 1.
    Exponential,
}

/// The weights of partitions, by flag or by environment.
#[derive(Clone, Copy, Debug, PartialEq, Args)]
pub struct Weights {
    /// How weights are spread.
    #[arg(
        long = "weights",
        env = "WEIGHT_DISTRIBUTION",
        default_value = "Uniform"
    )]
    pub distribution: Distribution,
    /// How many percent of the partitions are extreme, where the distribution is Exponential.
    #[arg(long, env = "EXTREME_SHARE_PERCENT", default_value = "5", value_parser = percent)]
    pub extreme_share_percent: f64,
    /// What an extreme one weighs.
    #[arg(long, env = "EXTREME_WEIGHT", default_value = "100", value_parser = positive)]
    pub extreme_weight: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            distribution: Distribution::Uniform,
            extreme_share_percent: 5.0,
            extreme_weight: 100.0,
        }
    }
}

impl Weights {
    /// The weight of partition 0, 1, 2 and so on: the same in every process that is told the same.
    pub fn of(&self, partitions: u32) -> Vec<f64> {
        let mut weights = vec![1.0; partitions as usize];
        if self.distribution == Distribution::Uniform {
            return weights;
        }
        let mut order: Vec<u32> = (0..partitions).collect();
        order.sort_by_key(|partition| {
            (
                xxh3_64_with_seed(&partition.to_le_bytes(), SEED),
                *partition,
            )
        });
        // At most `partitions`, hence no sign and no fraction to lose.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let extreme = (f64::from(partitions) * self.extreme_share_percent / 100.0).round() as usize;
        let others = order.len() - extreme;
        for (rank, partition) in order.into_iter().enumerate() {
            weights[partition as usize] = match rank.checked_sub(extreme) {
                None => self.extreme_weight,
                Some(rank) => self.exponential(rank, others),
            };
        }
        weights
    }

    /// One of evenly spaced quantiles of the exponential distribution with mean 1, within bounds.
    fn exponential(&self, rank: usize, of: usize) -> f64 {
        let quantile = (rank as f64 + 0.5) / of as f64;
        let heaviest = self.extreme_weight.max(LIGHTEST);
        (-(-quantile).ln_1p()).clamp(LIGHTEST, heaviest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exponential(extreme_share_percent: f64, extreme_weight: f64) -> Weights {
        Weights {
            distribution: Distribution::Exponential,
            extreme_share_percent,
            extreme_weight,
        }
    }

    #[test]
    fn uniform_weights_are_all_one_whatever_the_extremes() {
        let weights = Weights {
            distribution: Distribution::Uniform,
            ..exponential(50.0, 7.0)
        };
        assert_eq!(weights.of(3), [1.0; 3]);
    }

    #[test]
    fn at_the_design_size_75_of_1500_are_extreme_and_the_others_weigh_one_on_average() {
        let weights = exponential(5.0, 100.0).of(1500);
        let (extreme, others): (Vec<f64>, Vec<f64>) =
            weights.iter().partition(|weight| **weight >= 100.0);
        assert_eq!((extreme.len(), others.len()), (75, 1425));
        let mean = others.iter().sum::<f64>() / 1425.0;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!(others.iter().any(|weight| *weight > 5.0));
    }

    proptest! {
        #[test]
        fn a_share_of_partitions_is_extreme_and_all_are_within_bounds(
            partitions in 1u32..2000, share in 0.0..=100.0, extreme in 1.0..1000.0
        ) {
            let weights = exponential(share, extreme).of(partitions);
            prop_assert_eq!(weights.len(), partitions as usize);
            prop_assert!(weights.iter().all(|weight| (LIGHTEST..=extreme).contains(weight)));
            let expected = f64::from(partitions) * share / 100.0;
            let heaviest = weights.iter().filter(|weight| **weight >= extreme).count() as f64;
            prop_assert!(heaviest >= expected - 0.5);
            prop_assert_eq!(weights, exponential(share, extreme).of(partitions));
        }
    }
}
