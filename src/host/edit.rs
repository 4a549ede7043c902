//! Handlers put into the text of a containerd configuration, and taken out of it. Whatever else the file holds keeps its bytes: our
//! part is written at the end, between two comments, and only where TOML does not allow that (inline tables, dotted keys) into the
//! table itself. The result is read again, and is used only if it says what the former text said, plus ours.

use super::handler::Dialect;
use super::values::{at, put, read, take, without_empty_tables};
use crate::kit::error::Error;
use serde_json::Value;
use std::fmt::Write;
use toml_edit::{DocumentMut, InlineTable, Item, TableLike};

const BEGIN: &str = "# holdfast: begin, written by `holdfast host install`, taken out by `holdfast host uninstall`\n";
const END: &str = "# holdfast: end\n";

/// A handler's name and table.
pub(crate) type Handler = (String, Value);

/// A file of its own with these handlers.
pub(crate) fn alone(dialect: Dialect, handlers: &[Handler]) -> String {
    format!(
        "version = {}\n\n{}",
        dialect.number(),
        block(dialect, handlers)
    )
}

/// The text with these handlers. A text that says nothing gets a version first.
///
/// # Errors
/// If it is no TOML, or there is no way to write them into it.
pub(crate) fn added(
    what: &str,
    text: &str,
    dialect: Dialect,
    handlers: &[Handler],
) -> Result<String, Error> {
    let before = read(what, text)?;
    let mut expected = before.clone();
    for (name, table) in handlers {
        put(&mut expected, &path(dialect, name), table.clone());
    }
    let is_new = before.as_object().is_none_or(serde_json::Map::is_empty);
    if is_new {
        put(&mut expected, &["version"], dialect.number().into());
    }
    let ours = if is_new {
        alone(dialect, handlers)
    } else {
        block(dialect, handlers)
    };
    let line_end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let appended = format!("{text}{line_end}{ours}");
    if says(&appended, &expected) {
        return Ok(appended);
    }
    let inside = inserted(text, dialect, handlers).filter(|inside| says(inside, &expected));
    inside.ok_or_else(|| Error::Invalid {
        what: what.to_owned(),
        why: format!(
            "no handler can be written into the table {}: write that table in the usual form, with a header of its own",
            dialect.handlers().join(".")
        ),
    })
}

/// The text without these handlers; the same text if it has none of them.
///
/// # Errors
/// If it is no TOML, or they cannot be taken out of it.
pub(crate) fn removed(
    what: &str,
    text: &str,
    dialect: Dialect,
    names: &[String],
) -> Result<String, Error> {
    let before = read(what, text)?;
    let mut expected = before.clone();
    let mut found = false;
    for name in names {
        found |= take(&mut expected, &path(dialect, name)).is_some();
    }
    if !found {
        return Ok(text.to_owned());
    }
    let parts = text.split_once(BEGIN);
    let cut = parts.and_then(|(head, rest)| {
        let (_, tail) = rest.split_once(END)?;
        Some(format!("{head}{tail}"))
    });
    let cut = cut.filter(|cut| says(cut, &expected));
    let cut = cut.or_else(|| taken_out(text, dialect, names).filter(|out| says(out, &expected)));
    cut.ok_or_else(|| Error::Invalid {
        what: what.to_owned(),
        why: format!(
            "the handler cannot be taken out of it: delete the table {}.{} by hand, and run this again",
            dialect.handlers().join("."),
            names.join(", ")
        ),
    })
}

fn path(dialect: Dialect, name: &str) -> [&str; 5] {
    let [plugins, plugin, containerd, runtimes] = dialect.handlers();
    [plugins, plugin, containerd, runtimes, name]
}

/// Whether a text says this, and nothing else. A table that is there and empty says nothing.
fn says(text: &str, expected: &Value) -> bool {
    read("", text).is_ok_and(|found| without_empty_tables(&found) == without_empty_tables(expected))
}

fn block(dialect: Dialect, handlers: &[Handler]) -> String {
    let mut text = BEGIN.to_owned();
    for (name, table) in handlers {
        let name = toml_edit::Key::new(name);
        let header = format!(
            "plugins.\"{}\".containerd.runtimes.{name}",
            dialect.plugin()
        );
        write_table(&mut text, &header, table);
    }
    text.push_str(END);
    text
}

/// A table with its header, then those within it.
fn write_table(text: &mut String, header: &str, table: &Value) {
    // A text takes whatever is written to it.
    let _written = writeln!(text, "[{header}]");
    let all = || table.as_object().into_iter().flatten();
    for (key, value) in all().filter(|(_, value)| !value.is_object()) {
        if let Some(value) = literal(value) {
            let _written = writeln!(text, "{} = {value}", toml_edit::Key::new(key));
        }
    }
    for (key, value) in all().filter(|(_, value)| value.is_object()) {
        write_table(
            text,
            &format!("{header}.{}", toml_edit::Key::new(key)),
            value,
        );
    }
}

/// A value as TOML; it has no null.
fn literal(value: &Value) -> Option<toml_edit::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(is) => (*is).into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64()?.into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(all) => toml_edit::Value::Array(all.iter().filter_map(literal).collect()),
        Value::Object(_) => toml_edit::Value::InlineTable(inline(value)),
    })
}

fn inline(table: &Value) -> InlineTable {
    let all = table.as_object().into_iter().flatten();
    all.filter_map(|(key, value)| Some((key.as_str(), literal(value)?)))
        .collect()
}

fn inserted(text: &str, dialect: Dialect, handlers: &[Handler]) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for key in dialect.handlers() {
        table = table
            .entry(key)
            .or_insert(Item::Value(InlineTable::new().into()))
            .as_table_like_mut()?;
    }
    for (name, handler) in handlers {
        table.insert(name, Item::Value(inline(handler).into()));
    }
    Some(document.to_string())
}

fn taken_out(text: &str, dialect: Dialect, names: &[String]) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for key in dialect.handlers() {
        table = table.get_mut(key)?.as_table_like_mut()?;
    }
    for name in names {
        table.remove(name);
    }
    // The comments of our part stand before what follows it, or at the end.
    let text = document.to_string();
    let lines = text.split_inclusive('\n');
    Some(lines.filter(|line| ![BEGIN, END].contains(line)).collect())
}

/// The directories that a file's `imports` cover with `*.toml`, in their order.
pub(crate) fn covered(config: &Value) -> Vec<String> {
    let imports = at(config, &["imports"]).and_then(Value::as_array);
    let patterns = imports.into_iter().flatten().filter_map(Value::as_str);
    patterns
        .filter_map(|pattern| pattern.strip_suffix("/*.toml"))
        .filter(|folder| folder.starts_with('/') && !folder.contains(['*', '?', '[']))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
