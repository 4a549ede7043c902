//! Columns for people, and the other forms in which a verb answers.

use crate::cli::print::out;
use crate::kit::error::Error;
use clap::ValueEnum;
use serde::Serialize;
use std::fmt::Write;

/// In which form a verb answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
    /// For programs, and people who look at all of it
    Yaml,
}

/// Prints an answer in the form that was asked for.
///
/// # Errors
/// It cannot be written.
pub(crate) fn answer<T: Serialize>(
    form: Form,
    answer: &T,
    table: impl FnOnce(&T) -> String,
) -> Result<(), Error> {
    let invalid = |why: String| Error::Invalid {
        what: "the answer".into(),
        why,
    };
    out(&match form {
        Form::Table => table(answer),
        Form::Json => {
            let text = serde_json::to_string_pretty(answer);
            text.map_err(|error| invalid(error.to_string()))? + "\n"
        }
        Form::Yaml => {
            serde_saphyr::to_string(answer).map_err(|error| invalid(error.to_string()))?
        }
    })
}

/// Rows with their columns one below the other, each as wide as its widest.
pub(crate) fn columns(indent: &str, rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            let wide = cell.chars().count();
            match widths.get_mut(at) {
                Some(width) => *width = wide.max(*width),
                None => widths.push(wide),
            }
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (cell, width) in row.iter().zip(&widths) {
            // A text takes whatever is written to it. Columns that are empty everywhere take no room.
            if *width > 0 {
                let _written = write!(line, "{cell:<width$}  ");
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Lines that each begin with the same letters.
pub(crate) fn lines<T: std::fmt::Display>(begin: &str, all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().fold(String::new(), |mut text, line| {
        // A text takes whatever is written to it.
        let _written = writeln!(text, "{begin}{line}");
        text
    })
}

/// A number of bytes that no unit fits, with about what it is: `2354687337 (2.19Gi)`. Other amounts stay as they are.
pub(crate) fn about(amount: &str) -> String {
    let units = [(40, "Ti"), (30, "Gi"), (20, "Mi")];
    let told = amount.parse::<u128>().ok().and_then(|bytes| {
        let (shift, unit) = units
            .into_iter()
            .find(|(shift, _)| bytes.checked_shr(*shift).is_some_and(|whole| whole > 0))?;
        let hundredths = bytes.checked_mul(100)?.checked_shr(shift)?;
        let (whole, rest) = (hundredths.checked_div(100)?, hundredths.checked_rem(100)?);
        Some(format!("{amount} ({whole}.{rest:02}{unit})"))
    });
    told.unwrap_or_else(|| amount.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_one_below_the_other() {
        let rows = [["a", "", "3920m × 10 %", "x"], ["longer", "", "2", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            columns("  ", &rows),
            "  a       3920m × 10 %  x\n  longer  2\n"
        );
    }

    #[test]
    fn odd_numbers_of_bytes_come_with_what_they_are_about() {
        for (amount, told) in [
            ("2354687337", "2354687337 (2.19Gi)"),
            ("1048577", "1048577 (1.00Mi)"),
            ("2400Mi", "2400Mi"),
            ("392m", "392m"),
            ("64", "64"),
        ] {
            assert_eq!(about(amount), told);
        }
    }
}
