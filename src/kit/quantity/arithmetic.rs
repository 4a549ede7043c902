//! What can be done with quantities. Sums stop at the largest amount instead of wrapping round: nothing real is that large.

use crate::kit::quantity::Quantity;

impl Quantity {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left, and nothing where more is taken than there is.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }

    /// So many hundredths of it, rounded down to whole nano-units.
    #[must_use]
    pub fn percent(self, percent: u32) -> Self {
        self.scaled(i128::from(percent), 100)
    }

    /// `part / whole` of it, rounded down to whole nano-units; all of it where the whole is nothing.
    #[must_use]
    pub fn scaled(self, part: i128, whole: i128) -> Self {
        let Some((quotient, rest)) = divided(self.0, whole) else {
            return self;
        };
        // By its quotient and its rest, since the product of the whole need not fit.
        let of_rest = divided(rest.saturating_mul(part), whole);
        let of_rest = of_rest.map_or(0, |(quotient, _)| quotient);
        Self(quotient.saturating_mul(part).saturating_add(of_rest))
    }

    /// How many whole grains there are in it.
    #[must_use]
    pub fn grains(self, grain: Self) -> i128 {
        divided(self.0, grain.0).map_or(0, |(grains, _)| grains)
    }

    /// Rounded down to whole grains.
    #[must_use]
    pub fn floor_to(self, grain: Self) -> Self {
        Self(self.grains(grain).saturating_mul(grain.0))
    }

    /// Rounded up to whole grains.
    #[must_use]
    pub fn ceil_to(self, grain: Self) -> Self {
        let floor = self.floor_to(grain);
        if floor < self {
            floor.plus(grain)
        } else {
            floor
        }
    }
}

/// How often one number is in another, and what is left.
pub(crate) fn divided(number: i128, by: i128) -> Option<(i128, i128)> {
    // Most are small, and these are divided much quicker.
    if let (Ok(number), Ok(by)) = (i64::try_from(number), i64::try_from(by))
        && let (Some(quotient), Some(rest)) = (number.checked_div(by), number.checked_rem(by))
    {
        return Some((quotient.into(), rest.into()));
    }
    let quotient = number.checked_div(by)?;
    Some((quotient, number.wrapping_sub(quotient.wrapping_mul(by))))
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Self::plus)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn a_share_is_exact_where_floats_are_not() {
        for (base, percent, share) in [
            ("100m", 29, "29m"),
            ("100m", 57, "57m"),
            ("100m", 58, "58m"),
            ("3920m", 10, "392m"),
            ("16777216000", 15, "2516582400"),
            ("1930m", 15, "289.5m"),
        ] {
            assert_eq!(quantity(base).percent(percent), quantity(share), "{base}");
        }
    }

    #[test]
    fn rounds_to_grains() {
        let milli = quantity("1m");
        assert_eq!(quantity("289.5m").floor_to(milli), quantity("289m"));
        assert_eq!(quantity("289.5m").ceil_to(milli), quantity("290m"));
        assert_eq!(quantity("290m").ceil_to(milli), quantity("290m"));
        assert_eq!(quantity("2").grains(milli), 2000);
    }

    #[test]
    fn takes_no_more_than_there_is() {
        assert_eq!(quantity("1").less(quantity("3")), Quantity::ZERO);
        assert_eq!(quantity("3").less(quantity("1")), quantity("2"));
    }

    #[test]
    fn stops_at_the_largest_amount() {
        let most = Quantity::from_nanos(i128::MAX);
        assert_eq!(most.plus(most), most);
        assert!(most.percent(50) < most && most.percent(50) > Quantity::ZERO);
        assert_eq!(most.scaled(3, 0), most);
        let large = Quantity::from_nanos(3 * 10_i128.pow(36));
        assert_eq!(large.scaled(1000, 3), Quantity::from_nanos(i128::MAX));
        assert_eq!(
            large.scaled(1000, 3000),
            Quantity::from_nanos(10_i128.pow(36)),
            "the product does not fit, the result does"
        );
    }

    proptest! {
        #[test]
        fn a_quotient_and_what_is_left_are_the_number(number in any::<i128>(), small in any::<i64>(), by in any::<i64>()) {
            for number in [number, i128::from(small)] {
                for by in [i128::from(by), i128::from(by) << 40] {
                    let expected = number.checked_div(by).zip(number.checked_rem(by));
                    prop_assert_eq!(divided(number, by), expected);
                }
            }
        }

        #[test]
        fn a_percentage_is_never_more_than_a_grain_off(base in 0_i64.., percent in 1_u32..=100) {
            let whole = Quantity::from_nanos(i128::from(base));
            let share = whole.percent(percent).nanos();
            let off = i128::from(base) * i128::from(percent) - share * 100;
            prop_assert!((0..100).contains(&off));
        }
    }
}
