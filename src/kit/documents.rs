//! Files of YAML or JSON as documents, each with the line on which every field stands. The parser finds where documents begin, so a
//! `---` inside a block of text parts nothing.

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use std::fmt;

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The how manieth of its file, from 1; empty ones do not count.
    pub number: usize,
    /// What it says.
    pub value: Value,
    lines: Lines,
}

/// What is below some keys of a value, one below the other; null where one of them is missing.
#[must_use]
pub fn part<'a>(value: &'a Value, keys: &[&str]) -> &'a Value {
    let mut keys = keys.iter();
    keys.try_fold(value, |value, key| value.get(key))
        .unwrap_or(&Value::Null)
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The how manieth of its file.
    pub number: usize,
    /// Where, if that is known.
    pub line: Option<u64>,
    /// In a sentence.
    pub why: String,
}

/// The way to a field: `spec.containers[0].weight`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    At(usize),
}

impl Field {
    /// A key of the document itself.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self::default().key(key)
    }

    /// A key of this one.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// An entry of this one.
    #[must_use]
    pub fn at(&self, at: usize) -> Self {
        self.then(Step::At(at))
    }

    /// The same, of something that stands there.
    #[must_use]
    pub fn below(&self, there: &Self) -> Self {
        Self(there.0.iter().chain(&self.0).cloned().collect())
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::At(at) => write!(out, "[{at}]")?,
                Step::Key(key) if key.contains(['.', '/']) => write!(out, "[{key}]")?,
                Step::Key(key) if depth == 0 => out.write_str(key)?,
                Step::Key(key) => write!(out, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// On which line a value stands, and its parts.
#[derive(Debug, Clone, Default, PartialEq)]
struct Lines {
    line: u64,
    parts: Vec<(Step, Lines)>,
}

impl Document {
    /// The line of a field, or of the nearest field around it.
    #[must_use]
    pub fn line(&self, field: &Field) -> u64 {
        let mut here = &self.lines;
        for step in &field.0 {
            match here.parts.iter().find(|(known, _)| known == step) {
                Some((_, part)) => here = part,
                None => break,
            }
        }
        here.line
    }
}

/// The documents of a text. A mistake in the YAML itself ends it: nobody can say where the next document would begin.
#[must_use]
pub fn documents(text: &str) -> Vec<Result<Document, Unreadable>> {
    // Lists of a whole cluster are larger than what a parser takes from strangers; files are the user's own. What aliases stand for
    // stays bounded.
    let options = serde_saphyr::options! { budget: None, with_snippet: false };
    let mut reader = text.as_bytes();
    let trees = serde_saphyr::read_with_options::<_, Tree>(&mut reader, options);
    trees
        .zip(1..)
        .map(|(tree, number)| match tree {
            Ok(Tree(value, lines)) => Ok(Document {
                number,
                value,
                lines,
            }),
            Err(error) => Err(Unreadable {
                number,
                line: error.location().map(|location| location.line()),
                why: reason(&error.to_string()),
            }),
        })
        .collect()
}

/// The values of a text: as [`documents`], without lines, and quicker where it is JSON.
///
/// # Errors
/// What cannot be read, and where.
pub fn values(text: &str) -> Result<Vec<Value>, Unreadable> {
    if text.trim_start().starts_with('{') {
        let values: Result<Vec<_>, _> = serde_json::Deserializer::from_str(text)
            .into_iter::<Value>()
            .collect();
        if let Ok(values) = values {
            return Ok(values);
        }
    }
    documents(text)
        .into_iter()
        .map(|document| document.map(|document| document.value))
        .collect()
}

/// What a parser says, without the place, which is told beside it.
fn reason(said: &str) -> String {
    let first = said.lines().next().unwrap_or_default();
    let told = first.split_once(": ").filter(|(place, _)| {
        place.contains("line ") && place.chars().any(|letter| letter.is_ascii_digit())
    });
    let reason = told.map_or(first, |(_, reason)| reason);
    let plain = reason
        .rsplit_once(" at line ")
        .map_or(reason, |(reason, _)| reason);
    plain.trim().to_owned()
}

/// A value and its lines, while they are read.
struct Tree(Value, Lines);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Node>::deserialize(deserializer)?;
        let Node(value, parts) = spanned.value;
        let line = spanned.referenced.line();
        Ok(Self(value, Lines { line, parts }))
    }
}

struct Node(Value, Vec<(Step, Lines)>);

impl<V: Into<Value>> From<V> for Node {
    fn from(value: V) -> Self {
        Self(value.into(), Vec::new())
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Number::from_f64(value)
            .map_or(Value::Null, Value::Number)
            .into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Value::Null.into())
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Value::Null.into())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Node, S::Error> {
        let (mut values, mut parts) = (Vec::new(), Vec::new());
        while let Some(Tree(value, lines)) = seq.next_element()? {
            parts.push((Step::At(values.len()), lines));
            values.push(value);
        }
        Ok(Node(values.into(), parts))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Node, M::Error> {
        let (mut values, mut parts) = (Map::new(), Vec::new());
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let Tree(value, mut lines) = map.next_value()?;
            // A field stands where its name stands, even if its value begins below.
            if key.referenced.line() > 0 {
                lines.line = key.referenced.line();
            }
            parts.push((Step::Key(key.value.clone()), lines));
            values.insert(key.value, value);
        }
        Ok(Node(Value::Object(values), parts))
    }
}

#[cfg(test)]
mod tests;
