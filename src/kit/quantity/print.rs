//! Quantities as text, as Kubernetes writes them: the shortest unit that loses nothing.

use crate::kit::quantity::Quantity;

const BINARY: [(u32, &str); 6] = [
    (60, "Ei"),
    (50, "Pi"),
    (40, "Ti"),
    (30, "Gi"),
    (20, "Mi"),
    (10, "Ki"),
];
const DECIMAL: [(i128, &str); 4] = [
    (1_000_000_000, ""),
    (1_000_000, "m"),
    (1_000, "u"),
    (1, "n"),
];

impl Quantity {
    /// For what is counted in ones and parts of one, such as CPUs: `4`, `392m`.
    #[must_use]
    pub fn decimal(self) -> String {
        let nanos = self.nanos();
        let fits = |(unit, _): &&(i128, &str)| nanos.checked_rem(*unit) == Some(0);
        let (unit, suffix) = DECIMAL.iter().find(fits).unwrap_or(&(1, "n"));
        format!("{}{suffix}", nanos.checked_div(*unit).unwrap_or_default())
    }

    /// For bytes: `2400Mi`, `2516582401`.
    #[must_use]
    pub fn binary(self) -> String {
        let nanos = self.nanos();
        let whole = (nanos != 0)
            .then(|| {
                BINARY.iter().find_map(|(shift, suffix)| {
                    let unit = 1_000_000_000_i128.checked_shl(*shift)?;
                    (nanos.checked_rem(unit)? == 0)
                        .then(|| format!("{}{suffix}", nanos.checked_div(unit).unwrap_or_default()))
                })
            })
            .flatten();
        whole.unwrap_or_else(|| self.decimal())
    }
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
