//! How an amount is split over containers: by weights, in whole grains, and nothing is lost. Pure.

use crate::kit::quantity::divided;
use smallvec::SmallVec;
use std::cmp::Reverse;

/// For each container of a pod, of which there are few: no memory is allocated for them.
pub(crate) type Few<T> = SmallVec<[T; 6]>;

/// Splits so many grains by these weights. What is left after rounding down goes, grain by grain, to those that lost most by it; of
/// equal ones to the first. Without any weight nobody gets anything.
pub(crate) fn split(grains: i128, weights: &[i128]) -> Few<i128> {
    let weights = reduced(grains, weights);
    let whole = weights
        .iter()
        .fold(0_i128, |sum, weight| sum.saturating_add(*weight));
    let (mut parts, lost): (Few<i128>, Few<i128>) = weights
        .iter()
        .map(|weight| divided(grains.saturating_mul(*weight), whole).unwrap_or_default())
        .unzip();
    let given = parts
        .iter()
        .fold(0_i128, |sum, part| sum.saturating_add(*part));
    let left = if whole > 0 {
        grains.saturating_sub(given)
    } else {
        0
    };
    if left > 0 {
        let mut order: Few<_> = parts.iter_mut().zip(&lost).collect();
        // Stable: of equal ones the first stays first. Each lost less than a grain, so nobody's turn comes twice.
        order.sort_by_key(|(_, lost)| Reverse(**lost));
        let turns = usize::try_from(left).unwrap_or_default();
        for (part, _) in order.into_iter().take(turns) {
            *part = part.saturating_add(1);
        }
    }
    parts
}

/// Weights that can be multiplied by so many grains: beyond some 10^19 of both they are rounded, all alike.
fn reduced(grains: i128, weights: &[i128]) -> Few<i128> {
    let largest = weights.iter().copied().max().unwrap_or_default();
    if i64::try_from(grains).is_ok() && i64::try_from(largest).is_ok() {
        return weights.into();
    }
    let count = i128::try_from(weights.len()).unwrap_or(i128::MAX);
    let most = i128::MAX
        .checked_div(grains.max(count).max(1))
        .unwrap_or_default();
    let by = largest
        .checked_div(most.max(1))
        .unwrap_or_default()
        .saturating_add(1);
    weights
        .iter()
        .map(|weight| weight.checked_div(by).unwrap_or_default())
        .collect()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits_by_weight_and_loses_nothing() {
        for (grains, weights, parts) in [
            (392, &[1, 1][..], &[196, 196][..]),
            (392, &[3, 1], &[294, 98]),
            (100, &[1, 1, 1], &[34, 33, 33]),
            (101, &[1, 1, 1], &[34, 34, 33]),
            (1, &[1, 5], &[0, 1]),
            (0, &[1, 5], &[0, 0]),
            (7, &[4], &[7]),
            (7, &[], &[]),
            (7, &[0, 0], &[0, 0]),
            (5, &[i128::MAX, i128::MAX], &[3, 2]),
        ] {
            assert_eq!(&*split(grains, weights), parts, "{grains} by {weights:?}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole_and_fair(grains in 0_i64..1_000_000_000_000, weights in prop::collection::vec(1_i64..1_000_000_000_000, 1..12)) {
            let weights: Vec<i128> = weights.into_iter().map(i128::from).collect();
            let grains = i128::from(grains);
            let parts = split(grains, &weights);
            prop_assert_eq!(parts.iter().sum::<i128>(), grains);
            let whole: i128 = weights.iter().sum();
            for (part, weight) in parts.iter().zip(&weights) {
                prop_assert!((part * whole - grains * weight).abs() < whole, "no part is a grain off");
            }
        }
    }
}
