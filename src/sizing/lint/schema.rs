//! What a schema refuses: fields that it does not know, values of another type, and values out of bounds. Where the API server would
//! drop or refuse a field, this says what was meant. Rules in CEL are not run; `findings` knows what they know.

use crate::kit::documents::Field;
use crate::kit::near::suggestion;
use serde_json::Value;

/// What is wrong with a value, field by field.
pub(super) fn check(
    schema: &Value,
    value: &Value,
    field: &Field,
    found: &mut Vec<(Field, String)>,
) {
    if value.is_null() {
        return;
    }
    if let Some(mistake) = wrong_type(schema, value) {
        found.push((field.clone(), mistake));
        return;
    }
    match value {
        Value::Object(map) => object(schema, map, field, found),
        Value::Array(list) => {
            for (at, entry) in list.iter().enumerate() {
                check(&schema["items"], entry, &field.at(at), found);
            }
            found.extend(bounds_of_list(schema, list).map(|mistake| (field.clone(), mistake)));
            found.extend(twice(schema, list, field));
        }
        _ => found.extend(bounds(schema, value).map(|mistake| (field.clone(), mistake))),
    }
}

fn wrong_type(schema: &Value, value: &Value) -> Option<String> {
    if schema["x-kubernetes-int-or-string"] == true {
        let fits = value.is_string() || value.is_i64() || value.is_u64();
        return (!fits).then(|| "must be a whole number or a text".into());
    }
    let shown = || value.to_string();
    match schema["type"].as_str()? {
        "string" if value.is_number() || value.is_boolean() => Some(format!(
            "must be a text: put it into quotes, \"{}\"",
            shown()
        )),
        "string" if !value.is_string() => Some("must be a text".into()),
        "integer" if !(value.is_i64() || value.is_u64()) => {
            let text = value.as_str().unwrap_or_default();
            let digits = text.trim_end_matches('%');
            Some(match (digits.parse::<i64>(), value.is_string()) {
                (Ok(number), _) => {
                    format!("must be a number: write {number}, without anything around it")
                }
                _ => format!("must be a whole number, not {}", shown()),
            })
        }
        "boolean" if !value.is_boolean() => Some(format!("must be true or false, not {}", shown())),
        "object" if !value.is_object() => Some("must have fields of its own".into()),
        "array" if !value.is_array() => Some("must be a list".into()),
        _ => None,
    }
}

fn object(
    schema: &Value,
    map: &serde_json::Map<String, Value>,
    field: &Field,
    found: &mut Vec<(Field, String)>,
) {
    let Some(properties) = schema["properties"].as_object() else {
        let each = &schema["additionalProperties"];
        if each.is_object() {
            for (key, value) in map {
                check(each, value, &field.key(key), found);
            }
        }
        return;
    };
    for (key, value) in map {
        let field = field.key(key);
        if let Some(schema) = properties.get(key) {
            check(schema, value, &field, found);
        } else {
            let near = suggestion(key, properties.keys().map(String::as_str));
            found.push((field, format!("there is no such field{near}")));
        }
    }
    let required = schema["required"].as_array().into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        if map.get(name).is_none_or(Value::is_null) {
            found.push((field.clone(), format!("{name} is missing")));
        }
    }
}

fn bounds(schema: &Value, value: &Value) -> Option<String> {
    if let Some(choices) = schema["enum"].as_array() {
        let choices: Vec<_> = choices.iter().filter_map(Value::as_str).collect();
        let written = value.as_str().unwrap_or_default();
        if !choices.contains(&written) {
            let near = suggestion(written, choices.iter().copied());
            let all = choices.join(", ");
            return Some(format!("{written:?} is none of {all}{near}"));
        }
    }
    if let Some(text) = value.as_str() {
        let letters = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        if schema["maxLength"]
            .as_u64()
            .is_some_and(|most| letters > most)
        {
            return Some(format!("is longer than {} letters", schema["maxLength"]));
        }
        if schema["minLength"]
            .as_u64()
            .is_some_and(|least| letters < least)
        {
            return Some("must not be empty".into());
        }
    }
    let number = value.as_f64()?;
    let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let is_out =
        least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most);
    is_out.then(|| match (least, most) {
        (Some(least), Some(most)) => format!("{number} is not from {least} to {most}"),
        (Some(least), None) => format!("{number} is below {least}"),
        _ => format!("{number} is above {}", most.unwrap_or_default()),
    })
}

fn bounds_of_list(schema: &Value, list: &[Value]) -> Option<String> {
    let most = schema["maxItems"].as_u64()?;
    let entries = u64::try_from(list.len()).unwrap_or(u64::MAX);
    (entries > most).then(|| format!("has {entries} entries; {most} are the most"))
}

/// Entries of a list that is a map in truth, whose key is there before.
fn twice(schema: &Value, list: &[Value], field: &Field) -> Vec<(Field, String)> {
    let Some(key) = schema
        .pointer("/x-kubernetes-list-map-keys/0")
        .and_then(Value::as_str)
    else {
        return Vec::new();
    };
    let mut known = Vec::new();
    let mut found = Vec::new();
    for (at, entry) in list.iter().enumerate() {
        let name = &entry[key];
        if !name.is_null() && known.contains(&name) {
            found.push((field.at(at).key(key), format!("{name} is there before")));
        }
        known.push(name);
    }
    found
}
