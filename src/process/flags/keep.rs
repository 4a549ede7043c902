//! How much is kept of states.

use crate::kit::quantity::Quantity;
use clap::Args;

/// How many Checkpoints are kept; the oldest go that have a newer one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Checkpoints")]
pub struct KeepFlags {
    /// How many Checkpoints of one pod are kept besides those that are pinned; older ones are deleted. 0: all
    #[arg(long, env = "HOLDFAST_KEEP_GENERATIONS", value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub keep_generations: u32,
    /// How much one node keeps of Checkpoints, such as 20Gi; the oldest go that have a newer one, and where that is not enough, no other is taken. 0: as much as fits its disk
    #[arg(long, env = "HOLDFAST_KEEP_BYTES", value_name = "QUANTITY", default_value = "0", value_parser = bytes)]
    pub keep_bytes: i64,
}

impl KeepFlags {
    /// Nothing is deleted or refused.
    #[must_use]
    pub fn is_everything(self) -> bool {
        self.keep_generations == 0 && self.keep_bytes == 0
    }
}

fn bytes(text: &str) -> Result<i64, String> {
    let amount = text.parse::<Quantity>().map_err(|why| why.to_string())?;
    let whole = amount.grains(Quantity::from_nanos(1_000_000_000));
    let bytes = i64::try_from(whole).ok().filter(|bytes| *bytes >= 0);
    // Less than one would be none, and that means as much as there is.
    let bytes = bytes.filter(|bytes| *bytes > 0 || amount == Quantity::ZERO);
    bytes
        .ok_or_else(|| format!("{text:?} is no size: write bytes, such as 20Gi, or 0 for no limit"))
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn a_budget_is_a_quantity_and_none_is_none() {
        for (text, read) in [("0", 0), ("20Gi", 20 << 30), ("1500", 1500), ("2k", 2000)] {
            assert_eq!(bytes(text), Ok(read));
        }
        for text in ["-1", "1m", "99E", "much", ""] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
