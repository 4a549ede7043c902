//! Quantities as text, as Kubernetes writes them: the shortest unit that loses nothing.

use crate::kit::quantity::{NANO, Quantity, divided};
use std::fmt::Write;

const BINARY: [(u32, &str); 6] = [
    (60, "Ei"),
    (50, "Pi"),
    (40, "Ti"),
    (30, "Gi"),
    (20, "Mi"),
    (10, "Ki"),
];
const DECIMAL: [(i128, &str); 4] = [(NANO, ""), (1_000_000, "m"), (1_000, "u"), (1, "n")];

impl Quantity {
    /// For what is counted in ones and parts of one, such as CPUs: `4`, `392m`.
    #[must_use]
    pub fn decimal(self) -> String {
        let mut text = String::new();
        self.write_decimal(&mut text);
        text
    }

    /// For bytes: `2400Mi`, `2516582401`.
    #[must_use]
    pub fn binary(self) -> String {
        let mut text = String::new();
        self.write_binary(&mut text);
        text
    }

    /// The same, at the end of a text.
    pub fn write_decimal(self, text: &mut String) {
        let nanos = self.nanos();
        let fitting = DECIMAL.into_iter().find_map(|(unit, suffix)| {
            let (count, rest) = divided(nanos, unit)?;
            (rest == 0).then_some((count, suffix))
        });
        let (count, suffix) = fitting.unwrap_or((nanos, "n"));
        write_whole(text, count);
        text.push_str(suffix);
    }

    /// The same, at the end of a text.
    pub fn write_binary(self, text: &mut String) {
        let nanos = self.nanos();
        let (whole, rest) = divided(nanos, NANO).unwrap_or_default();
        let is_whole = whole != 0 && rest == 0;
        // As often as a whole number can be halved, so large a unit fits.
        let unit = BINARY
            .into_iter()
            .find(|(shift, _)| is_whole && *shift <= whole.trailing_zeros());
        match unit.and_then(|(shift, suffix)| Some((whole.checked_shr(shift)?, suffix))) {
            Some((count, suffix)) => {
                write_whole(text, count);
                text.push_str(suffix);
            }
            None => self.write_decimal(text),
        }
    }
}

fn write_whole(text: &mut String, number: i128) {
    let Ok(mut left) = u64::try_from(number) else {
        // A text takes whatever is written to it.
        let _written = write!(text, "{number}");
        return;
    };
    let mut digits = [0; 20];
    let mut count = 0_usize;
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(left % 10).unwrap_or_default() | b'0';
        left /= 10;
        count = count.saturating_add(1);
        if left == 0 {
            break;
        }
    }
    let written = digits.get(digits.len().saturating_sub(count)..);
    text.push_str(str::from_utf8(written.unwrap_or_default()).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_as_kubernetes_does() {
        for (given, decimal, binary) in [
            ("0", "0", "0"),
            ("4", "4", "4"),
            ("0.392", "392m", "392m"),
            ("2Gi", "2147483648", "2Gi"),
            ("2400Mi", "2516582400", "2400Mi"),
            ("1536Mi", "1610612736", "1536Mi"),
            ("2516582401", "2516582401", "2516582401"),
            ("1n", "1n", "1n"),
            ("-1Ki", "-1024", "-1Ki"),
            ("1500u", "1500u", "1500u"),
        ] {
            let quantity: Quantity = given.parse().unwrap();
            assert_eq!(
                (&*quantity.decimal(), &*quantity.binary()),
                (decimal, binary)
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(nanos in any::<i64>(), shift in 0_u32..50) {
            let quantity = Quantity::from_nanos(i128::from(nanos) << shift);
            prop_assert_eq!(quantity.decimal().parse(), Ok(quantity));
            prop_assert_eq!(quantity.binary().parse(), Ok(quantity));
        }
    }
}
