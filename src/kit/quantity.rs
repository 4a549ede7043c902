//! Kubernetes quantities (`1500m`, `1.5Gi`, `2e3`) as whole nano-units in an `i128`: no floats, no silent loss.
//!
//! The grammar is Kubernetes' own: a signed decimal number, then one of `n u m "" k M G T P E`, `Ki Mi Gi Ti Pi Ei`, or a decimal
//! exponent (`e3`, `E-2`). What is finer than a nano-unit is rounded up, as the API server does; what does not fit is refused, and so is
//! what is written with more digits than an `i128` holds, however small it is: some 38, or 17 before `Pi`.

mod arithmetic;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod print;

pub(crate) use arithmetic::divided;
use std::str::FromStr;

const NANO: i128 = 1_000_000_000;

/// So many digits always fit 63 bits.
const MOST_DIGITS: usize = 18;

/// Ten to the power of the place.
#[allow(
    clippy::indexing_slicing,
    reason = "the compiler does it, and says if it cannot"
)]
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

fn power_of_ten(exponent: u32) -> Option<i128> {
    POWERS.get(usize::try_from(exponent).ok()?).copied()
}

/// An amount of a resource, in billionths of its unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i128);

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many nano-units.
    #[must_use]
    pub const fn from_nanos(nanos: i128) -> Self {
        Self(nanos)
    }

    /// The amount in nano-units.
    #[must_use]
    pub fn nanos(self) -> i128 {
        self.0
    }
}

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// There is no number.
    #[error("a quantity starts with a number, such as 500m, 1.5 or 2Gi")]
    NoNumber,
    /// The letters after the number mean nothing.
    #[error(
        "the unit is one of n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei or an exponent such as e3"
    )]
    UnknownUnit,
    /// More than can be counted.
    #[error("the amount is too large")]
    TooLarge,
}

/// What follows the number, in nano-units: `factor`, times ten to the power of `exponent`.
#[derive(Clone, Copy)]
struct Unit {
    factor: i128,
    exponent: i32,
}

impl FromStr for Quantity {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        if let Some(usual) = usual(text) {
            return Ok(usual);
        }
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, text.get(1..).unwrap_or_default()),
            Some(b'+') => (false, text.get(1..).unwrap_or_default()),
            _ => (false, text),
        };
        let end = unsigned
            .bytes()
            .position(|byte| !byte.is_ascii_digit() && byte != b'.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (digits, decimals) = mantissa(number)?;
        let unit = unit(suffix)?;
        let nanos = scale(digits, unit, decimals)?;
        // Rounding goes away from zero, so the sign is put on last.
        Ok(Self(if negative {
            nanos.checked_neg().ok_or(Mistake::TooLarge)?
        } else {
            nanos
        }))
    }
}

/// A whole number of few digits with a usual unit: nearly every quantity is one, and is read much quicker so.
fn usual(text: &str) -> Option<Quantity> {
    let bytes = text.as_bytes();
    let is_digit = |byte: &&u8| byte.is_ascii_digit();
    let count = bytes.iter().take_while(is_digit).count();
    let (digits, unit) = bytes.split_at_checked(count)?;
    if !(1..=MOST_DIGITS).contains(&count) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |number, digit| {
        number
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit.wrapping_sub(b'0')))
    });
    let nanos: u64 = match unit {
        b"" => 1_000_000_000,
        b"m" => 1_000_000,
        b"Ki" => 1_000_000_000 << 10,
        b"Mi" => 1_000_000_000 << 20,
        b"Gi" => 1_000_000_000 << 30,
        _ => return None,
    };
    // Two numbers of 63 bits: the product always fits.
    i128::from(number)
        .checked_mul(i128::from(nanos))
        .map(Quantity)
}

/// `12.50` is 1250 with 2 decimals.
fn mantissa(number: &str) -> Result<(i128, i32), Mistake> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(Mistake::NoNumber);
    }
    let fraction = fraction.trim_end_matches('0');
    let mut digits: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = i128::from(byte.checked_sub(b'0').ok_or(Mistake::NoNumber)?);
        digits = digits
            .checked_mul(10)
            .and_then(|d| d.checked_add(digit))
            .ok_or(Mistake::TooLarge)?;
    }
    Ok((
        digits,
        i32::try_from(fraction.len()).map_err(|_| Mistake::TooLarge)?,
    ))
}

fn unit(suffix: &str) -> Result<Unit, Mistake> {
    let decimal = |exponent: i32| {
        Ok(Unit {
            factor: 1,
            exponent: exponent.checked_add(9).ok_or(Mistake::TooLarge)?,
        })
    };
    let binary = |shift: u32| {
        Ok(Unit {
            factor: NANO.checked_shl(shift).ok_or(Mistake::TooLarge)?,
            exponent: 0,
        })
    };
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => decimal(exponent(suffix)?),
    }
}

/// `e3`, `E+3`, `e-2`.
fn exponent(suffix: &str) -> Result<i32, Mistake> {
    let digits = suffix
        .strip_prefix(['e', 'E'])
        .ok_or(Mistake::UnknownUnit)?;
    let plain = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Mistake::UnknownUnit);
    }
    digits.parse().map_err(|_| Mistake::TooLarge)
}

/// `digits / 10^decimals * unit`, rounded up to whole nano-units.
fn scale(digits: i128, unit: Unit, decimals: i32) -> Result<i128, Mistake> {
    if digits == 0 {
        return Ok(0);
    }
    let power = unit
        .exponent
        .checked_sub(decimals)
        .ok_or(Mistake::TooLarge)?;
    let nanos = digits.checked_mul(unit.factor);
    let Ok(up) = u32::try_from(power) else {
        let nanos = nanos.ok_or(Mistake::TooLarge)?;
        // A divisor that does not fit is larger than any dividend that does.
        return Ok(
            power_of_ten(power.unsigned_abs()).map_or(1, |divisor| divide_up(nanos, divisor))
        );
    };
    let factor = power_of_ten(up).ok_or(Mistake::TooLarge)?;
    nanos
        .and_then(|n| n.checked_mul(factor))
        .ok_or(Mistake::TooLarge)
}

/// Division that rounds up, for a dividend and a divisor above zero.
fn divide_up(dividend: i128, divisor: i128) -> i128 {
    let whole = dividend.checked_div(divisor).unwrap_or(i128::MAX);
    match dividend.checked_rem(divisor) {
        Some(0) | None => whole,
        Some(_) => whole.saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn nanos(text: &str) -> i128 {
        text.parse::<Quantity>()
            .unwrap_or_else(|e| panic!("{text}: {e}"))
            .nanos()
    }

    #[test]
    fn reads_every_unit() {
        for (text, same) in [
            ("1500m", "1.5"),
            ("1k", "1000"),
            ("1M", "1e6"),
            ("2G", "2E9"),
            ("1T", "1e12"),
            ("1P", "1e15"),
            ("1E", "1e18"),
            ("1Ki", "1024"),
            ("1.5Gi", "1610612736"),
            ("1Mi", "1024Ki"),
            ("1Ti", "1024Gi"),
            ("1Pi", "1024Ti"),
            ("1Ei", "1024Pi"),
            ("1u", "1000n"),
            ("1m", "1000u"),
            ("+5", "5"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.50", "500m"),
            ("1e-3", "1m"),
        ] {
            assert_eq!(nanos(text), nanos(same), "{text} and {same}");
        }
        assert_eq!(nanos("1n"), 1);
    }

    #[test]
    fn rounds_up_what_is_finer_than_a_nano() {
        assert_eq!(nanos("0.1n"), 1);
        assert_eq!(nanos("1.0000000001"), NANO + 1);
        assert_eq!(nanos("-0.1n"), -1);
        assert_eq!(nanos("1e-40"), 1);
        assert_eq!(nanos("0e-40"), 0);
        assert_eq!(
            nanos("10000000000000000000000000000000000000e-39"),
            NANO / 100
        );
    }

    #[test]
    fn refuses_what_is_no_quantity() {
        for text in [
            "", "-", "Gi", ".", "1.2.3", "1 Gi", "1gi", "1KiB", "--1", "1e", "1e3Ki", "1e+",
            "0x10", "١", "1,5", "inf", "NaN",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
        for text in [
            "1e99",
            "9999999999999999999999999Ei",
            "1e2147483648",
            "99999999999999999999999999999999999999999",
        ] {
            assert_eq!(text.parse::<Quantity>(), Err(Mistake::TooLarge), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,24}") {
            let _read = text.parse::<Quantity>();
        }

        #[test]
        fn what_is_usual_is_read_as_all_else(digits in 0_u32..19, number in 0_u64.., unit in select(vec!["", "m", "Ki", "Mi", "Gi", "k", "."]), zeros in "0{0,9}") {
            let number = number.checked_rem(10_u64.pow(digits)).unwrap_or_default();
            // A sign keeps it from being read as usual.
            let text = format!("{zeros}{number}{unit}");
            let with_sign = format!("+{text}").parse::<Quantity>();
            prop_assert_eq!(text.parse::<Quantity>(), with_sign);
        }

        #[test]
        fn whole_numbers_are_exact(number in any::<i64>()) {
            prop_assert_eq!(Some(nanos(&number.to_string())), i128::from(number).checked_mul(NANO));
        }

        #[test]
        fn order_follows_the_number(a in 0_u32.., b in 0_u32..) {
            let (x, y) = (format!("{a}Mi").parse::<Quantity>().unwrap(), format!("{b}Mi").parse::<Quantity>().unwrap());
            prop_assert_eq!(a.cmp(&b), x.cmp(&y));
        }
    }
}
