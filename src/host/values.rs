//! A configuration as a value: the runtime's effective one, or what a file says. Two are compared without what means nothing
//! (empty texts, zeros), since a program that prints its configuration fills those in.

use crate::kit::error::Error;
use serde_json::{Map, Value};

/// Reads TOML.
///
/// # Errors
/// If it is none; `what` says where it comes from.
pub(crate) fn read(what: &str, text: &str) -> Result<Value, Error> {
    toml_edit::de::from_str(text).map_err(|error| Error::Invalid {
        what: what.to_owned(),
        why: format!(
            "it is no TOML: {}",
            error.to_string().trim().replace('\n', " ")
        ),
    })
}

/// The value at a path.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// The text at a path; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The same without what means nothing.
pub(crate) fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(all) => {
            let kept = all.iter().map(|(key, value)| (key.clone(), pruned(value)));
            Value::Object(kept.filter(|(_, value)| !is_nothing(value)).collect())
        }
        other => other.clone(),
    }
}

/// The same without tables that hold nothing. A `false` that is written may be another one than the default.
pub(crate) fn without_empty_tables(value: &Value) -> Value {
    let Value::Object(all) = value else {
        return value.clone();
    };
    let kept = all
        .iter()
        .map(|(key, value)| (key.clone(), without_empty_tables(value)));
    let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect())
}

/// Whether a value is what a missing one would be.
pub(crate) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::Bool(true) => false,
    }
}

/// Puts a value at a path.
pub(crate) fn put(value: &mut Value, path: &[&str], new: Value) {
    let Some((key, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Some(all) = value.as_object_mut() {
        put(all.entry(*key).or_insert(Value::Null), rest, new);
    }
}

/// Takes the value at a path away.
pub(crate) fn take(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, before) = path.split_last()?;
    let mut value = value;
    for key in before {
        value = value.get_mut(key)?;
    }
    value.as_object_mut()?.remove(*last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_means_nothing_makes_no_difference() {
        let filled =
            json!({"a": {"b": "", "c": 0, "d": [], "e": false, "f": 0.0}, "g": 1, "h": [""]});
        assert_eq!(pruned(&filled), json!({"g": 1, "h": [""]}));
        let strict = without_empty_tables(&json!({"a": {"b": {}}, "c": false, "d": []}));
        assert_eq!(strict, json!({"c": false, "d": []}));
    }

    #[test]
    fn puts_and_takes() {
        let mut value = json!({"a": 1});
        put(&mut value, &["b", "c"], json!(2));
        assert_eq!(value, json!({"a": 1, "b": {"c": 2}}));
        assert_eq!(at(&value, &["b", "c"]), Some(&json!(2)));
        assert_eq!(take(&mut value, &["b", "x"]), None);
        assert_eq!(take(&mut value, &["b", "c"]), Some(json!(2)));
        assert_eq!(pruned(&value), json!({"a": 1}));
    }

    #[test]
    fn says_what_is_no_toml() {
        let error = read("/etc/x.toml", "a = ").unwrap_err().to_string();
        assert!(
            error.starts_with("/etc/x.toml cannot be used: it is no TOML"),
            "{error}"
        );
    }
}
