//! The floor of a signal that a garbage collector makes a sawtooth of: what is left after each collection is what is
//! still in use, and what a leak raises. The teeth are not.

use std::borrow::Cow;

use crate::run::Sample;
use crate::samples::median;

/// A fall is a collection if it is this many times as deep as the usual move from one sample to the next.
const FALL: f64 = 6.0;

/// Fewer collections are no sawtooth.
const FEWEST_TEETH: usize = 5;

/// Falls make up at least this share of all that went down, and of them this share is about as deep as the usual one:
/// other signals fall in all sizes.
const SHARE_OF_FALLS: f64 = 0.5;

/// A rise this deep against the usual fall at one step is no tooth: load comes and goes at once.
const JUMP: f64 = 0.6;

/// The samples right after each collection, where the signal is a sawtooth; else all of them. In time order either way.
pub(crate) fn floor(samples: &[Sample]) -> Cow<'_, [Sample]> {
    floors(samples).map_or(Cow::Borrowed(samples), Cow::Owned)
}

fn floors(samples: &[Sample]) -> Option<Vec<Sample>> {
    let moves: Vec<f64> = samples
        .windows(2)
        .map(|pair| pair[1].v - pair[0].v)
        .collect();
    let usual = median(moves.iter().map(|step| step.abs()).collect())?;
    if usual <= 0.0 {
        return None;
    }
    let falls: Vec<usize> = (0..moves.len())
        .filter(|i| moves[*i] < -FALL * usual)
        .collect();
    if falls.len() < FEWEST_TEETH {
        return None;
    }
    let depth = median(falls.iter().map(|i| -moves[*i]).collect())?;
    let alike = falls
        .iter()
        .filter(|i| (0.5..2.0).contains(&(-moves[**i] / depth)))
        .count();
    let fallen: f64 = falls.iter().map(|i| -moves[*i]).sum();
    let down: f64 = moves.iter().map(|step| (-step).max(0.0)).sum();
    let jumps = moves.iter().filter(|step| **step > JUMP * depth).count();
    let is_sawtooth = fallen > SHARE_OF_FALLS * down
        && alike as f64 > SHARE_OF_FALLS * falls.len() as f64
        && jumps * 4 < falls.len();
    if !is_sawtooth {
        return None;
    }
    // A few samples of each tooth, as long as it has hardly risen.
    let length = samples.len() / falls.len();
    let kept = (length / 10).clamp(1, 5);
    let mut floors = Vec::new();
    let mut next = 0;
    for fall in falls {
        for sample in samples
            .iter()
            .take(fall + 1 + kept)
            .skip((fall + 1).max(next))
        {
            floors.push(*sample);
        }
        next = fall + 1 + kept;
    }
    Some(floors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(value: impl Fn(f64) -> f64) -> Vec<Sample> {
        (0..600)
            .map(|i| Sample {
                t: f64::from(i),
                v: value(f64::from(i)) + f64::from(i * 37 % 11) * 0.1,
            })
            .collect()
    }

    #[test]
    fn a_sawtooth_is_reduced_to_what_is_left_after_each_collection() {
        let teeth = series(|t| 100.0 + 50.0 * (t / 40.0).fract());
        let floors = floor(&teeth);
        assert!((14..60).contains(&floors.len()), "{}", floors.len());
        assert!(floors.iter().all(|sample| sample.v < 107.0));
    }

    #[test]
    fn what_is_no_sawtooth_is_left_alone() {
        for (what, signal) in [
            ("flat", series(|_| 100.0)),
            ("growing", series(|t| t)),
            ("a wave", series(|t| 50.0 * (t / 30.0).sin())),
            ("on and off", series(|t| 50.0 * (t / 20.0).floor() % 100.0)),
            ("one fall", series(|t| if t < 300.0 { 100.0 } else { 50.0 })),
        ] {
            assert_eq!(floor(&signal).len(), signal.len(), "{what}");
        }
    }
}
