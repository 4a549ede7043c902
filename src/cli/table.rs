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
}
