//! What holds for the text of a quantity whatever the bytes: it panics where it does not. The fuzz target `quantity` calls it, and a
//! test with every file of its corpus.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "what does not hold is said by panicking"
)]

use crate::kit::quantity::Quantity;

/// What the other way of reading makes of a text.
#[derive(Debug, PartialEq, Eq)]
enum Reading {
    /// Nano-units in decimal digits, however many.
    Digits(String),
    NoQuantity,
    /// The same, written with so many digits that it may be refused, however small it is.
    Long(String),
    /// An exponent that is written with more digits than anybody needs: refused or not.
    Either,
}

/// Reads bytes as a quantity, compares with another way of reading, and prints what was read; was it one?
///
/// # Panics
/// Where the two ways disagree, or what is printed is read as something else.
#[must_use]
pub fn quantity(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let read = text.parse::<Quantity>().ok();
    match digits(text) {
        Reading::Digits(digits) => {
            // As far below zero as above it, and no further.
            let nanos = digits.parse().ok().filter(|nanos| *nanos != i128::MIN);
            assert_eq!(read.map(Quantity::nanos), nanos, "{text:?}");
        }
        Reading::Long(digits) => {
            let nanos = digits.parse().ok();
            assert!(
                read.is_none() || read.map(Quantity::nanos) == nanos,
                "{text:?}"
            );
        }
        Reading::NoQuantity => assert_eq!(read, None, "{text:?}"),
        Reading::Either => {}
    }
    if let Some(quantity) = read {
        for printed in [quantity.decimal(), quantity.binary()] {
            assert_eq!(
                printed.parse(),
                Ok(quantity),
                "{text:?} is printed as {printed:?}"
            );
        }
    }
    read.is_some()
}

/// Reads a text by long multiplication on decimal digits, and rounds away from zero.
fn digits(text: &str) -> Reading {
    let (sign, unsigned) = match text.as_bytes().first() {
        Some(b'-') => ("-", &text[1..]),
        Some(b'+') => ("", &text[1..]),
        _ => ("", text),
    };
    let number: String = unsigned
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let unit = &unsigned[number.len()..];
    let mut parts = number.split('.');
    let (whole, fraction) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    if parts.next().is_some() || (whole.is_empty() && fraction.is_empty()) {
        return Reading::NoQuantity;
    }
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"]
        .iter()
        .position(|one| *one == unit);
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
        .iter()
        .position(|one| *one == unit);
    let (thousands, tens) = match (decimal, binary) {
        (Some(at), _) => (0, i64::try_from(at).unwrap() * 3 - 9),
        (_, Some(at)) => (at + 1, 0),
        _ => match exponent(unit) {
            Ok(exponent) => (0, exponent),
            Err(reading) => return reading,
        },
    };
    let mut all: Vec<u8> = whole
        .bytes()
        .chain(fraction.bytes())
        .map(|digit| digit - b'0')
        .collect();
    for _ in 0..thousands {
        all = times_1024(&all);
    }
    if all.iter().all(|digit| *digit == 0) {
        return Reading::Digits("0".into());
    }
    let scale = if binary.is_some() { "000000000" } else { "" };
    let is_long = format!("{}{scale}", self::text(&all))
        .parse::<i128>()
        .is_err();
    let shift = tens + 9 - i64::try_from(fraction.len()).unwrap();
    let digits = format!("{sign}{}", shifted(all, shift));
    if is_long {
        return Reading::Long(digits);
    }
    Reading::Digits(digits)
}

/// An exponent such as `e3`.
fn exponent(unit: &str) -> Result<i64, Reading> {
    let written = unit.strip_prefix(['e', 'E']).ok_or(Reading::NoQuantity)?;
    let bare = written.strip_prefix(['+', '-']).unwrap_or(written);
    if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Reading::NoQuantity);
    }
    if bare.len() > 9 {
        return Err(Reading::Either);
    }
    Ok(written.parse().unwrap())
}

fn times_1024(digits: &[u8]) -> Vec<u8> {
    let (mut product, mut carry) = (Vec::new(), 0_u32);
    for digit in digits.iter().rev() {
        carry += u32::from(*digit) * 1024;
        product.push(u8::try_from(carry % 10).unwrap());
        carry /= 10;
    }
    while carry > 0 {
        product.push(u8::try_from(carry % 10).unwrap());
        carry /= 10;
    }
    product.reverse();
    product
}

/// Digits times a power of ten; what falls off counts as one. Far too many are cut to too many.
fn shifted(mut digits: Vec<u8>, shift: i64) -> String {
    if shift >= 0 {
        let first = digits
            .iter()
            .position(|digit| *digit > 0)
            .unwrap_or_default();
        digits.drain(..first);
        let zeros = usize::try_from(shift).unwrap().min(60);
        digits.extend(vec![0; zeros]);
        return text(&digits);
    }
    let off = usize::try_from(-shift).unwrap().min(digits.len());
    let lost = digits.split_off(digits.len() - off);
    if lost.iter().any(|digit| *digit > 0) {
        digits.insert(0, 0);
        for digit in digits.iter_mut().rev() {
            *digit = (*digit + 1) % 10;
            if *digit > 0 {
                break;
            }
        }
    }
    text(&digits)
}

fn text(digits: &[u8]) -> String {
    let text: String = digits
        .iter()
        .map(|digit| char::from(digit + b'0'))
        .collect();
    format!("0{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_other_way_of_reading_can_read() {
        for (text, nanos) in [
            ("1.5Ki", 1_536_000_000_000_i128),
            ("1.1n", 2),
            ("-9.9n", -10),
            ("2e3", 2_000_000_000_000),
            (".5m", 500_000),
        ] {
            let Reading::Digits(digits) = digits(text) else {
                panic!("{text} was not read")
            };
            assert_eq!(digits.parse(), Ok(nanos), "{text}");
        }
        for text in ["", ".", "1.2.3", "1e", "1kk", "--1", "1 "] {
            assert_eq!(digits(text), Reading::NoQuantity, "{text}");
        }
    }

    /// The name of a file begins with `yes` or `no`.
    #[test]
    fn every_text_of_the_corpus_is_read_as_its_name_says() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/quantity");
        let mut count = 0;
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let expected = name.starts_with("yes-");
            assert!(expected || name.starts_with("no-"), "{name}");
            assert_eq!(quantity(&fs::read(&path).unwrap()), expected, "{name}");
            count += 1;
        }
        assert!(count >= 20, "{count} files");
    }
}
