//! What is wrong, or will not work as meant, in files that are not applied yet: templates, and DaemonSets that name one. Pure; there is
//! no cluster, so what only a cluster knows (its nodes, its other templates) is not judged.

mod daemonsets;
mod schema;
mod templates;
#[cfg(test)]
mod tests;

use crate::kit::documents::{Document, Field, Unreadable, part};
use crate::kit::near::suggestion;
use crate::sizing::partial::{DaemonSets, Kind, Namespaces, Templates};
use serde::Serialize;
use serde_json::Value;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Severity {
    /// It would be refused, or cannot be used.
    Error,
    /// It will not work as meant.
    Warning,
    /// Something to know.
    Note,
}

impl Severity {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A file, read.
pub(crate) struct Source {
    pub(crate) file: String,
    pub(crate) documents: Vec<Result<Document, Unreadable>>,
}

/// One thing that is to be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    /// The how manieth of its file.
    pub(crate) document: usize,
    /// Kind and name; empty where there is none.
    pub(crate) object: String,
    /// The way to the field; empty for the object itself.
    pub(crate) field: String,
    pub(crate) message: String,
}

/// All that is to be said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    pub(crate) files: usize,
    /// Templates and DaemonSets.
    pub(crate) objects: usize,
    /// Objects of other kinds.
    pub(crate) ignored: usize,
}

impl Report {
    pub(crate) fn count(&self, severity: Severity) -> usize {
        let all = self.findings.iter();
        all.filter(|finding| finding.severity == severity).count()
    }
}

/// An object in a file.
#[derive(Clone, Copy)]
struct Item<'a> {
    file: &'a str,
    document: &'a Document,
    /// The entry of a list.
    at: Option<usize>,
    value: &'a Value,
}

impl Item<'_> {
    fn kind(&self) -> &str {
        part(self.value, &["kind"]).as_str().unwrap_or_default()
    }

    fn version(&self) -> &str {
        part(self.value, &["apiVersion"])
            .as_str()
            .unwrap_or_default()
    }

    fn name(&self) -> &str {
        part(self.value, &["metadata", "name"])
            .as_str()
            .unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        let written = part(self.value, &["metadata", "namespace"]).as_str();
        written.unwrap_or("default")
    }

    /// Kind and name, with the namespace where it has one.
    fn title(&self) -> String {
        match self.kind() {
            DaemonSets::KIND => format!("{} {}/{}", self.kind(), self.namespace(), self.name()),
            kind => format!("{kind} {}", self.name()),
        }
    }

    /// Something about one of its fields.
    fn finding(&self, severity: Severity, field: &Field, message: impl Into<String>) -> Finding {
        let whole = match self.at {
            Some(at) => field.below(&Field::of("items").at(at)),
            None => field.clone(),
        };
        Finding {
            severity,
            file: self.file.to_owned(),
            line: Some(self.document.line(&whole)),
            document: self.document.number,
            object: self.title(),
            field: whole.to_string(),
            message: message.into(),
        }
    }
}

/// What is to be said about these files.
pub(crate) fn lint(sources: &[Source]) -> Report {
    let mut report = Report {
        files: sources.len(),
        ..Report::default()
    };
    let mut items = Vec::new();
    for source in sources {
        for document in &source.documents {
            match document {
                Ok(document) => items.extend(items_of(&source.file, document)),
                Err(unreadable) => report
                    .findings
                    .push(unreadable_document(&source.file, unreadable)),
            }
        }
    }
    let (mut templates, mut daemonsets, mut namespaces) = (Vec::new(), Vec::new(), Vec::new());
    for item in &items {
        match item.kind() {
            Templates::KIND => templates.push(*item),
            DaemonSets::KIND => daemonsets.push(*item),
            Namespaces::KIND => namespaces.push(*item),
            _ => report.findings.extend(strange(item)),
        }
    }
    report.objects = templates.len().saturating_add(daemonsets.len());
    report.ignored = items.len().saturating_sub(report.objects);
    let read = templates::check(&templates, &mut report.findings);
    daemonsets::check(&daemonsets, &read, &namespaces, &mut report.findings);
    let place = |file: &str| sources.iter().position(|source| *source.file == *file);
    report
        .findings
        .sort_by_cached_key(|one| (place(&one.file), one.line, one.severity));
    report
}

/// A document, or the objects of the list that it is.
fn items_of<'a>(file: &'a str, document: &'a Document) -> Vec<Item<'a>> {
    let whole = Item {
        file,
        document,
        at: None,
        value: &document.value,
    };
    match part(&document.value, &["items"]).as_array() {
        Some(list)
            if part(&document.value, &["kind"])
                .as_str()
                .is_some_and(|kind| kind.ends_with("List")) =>
        {
            list.iter()
                .enumerate()
                .map(|(at, value)| Item {
                    at: Some(at),
                    value,
                    ..whole
                })
                .collect()
        }
        _ => vec![whole],
    }
}

fn unreadable_document(file: &str, unreadable: &Unreadable) -> Finding {
    Finding {
        severity: Severity::Error,
        file: file.to_owned(),
        line: unreadable.line,
        document: unreadable.number,
        object: String::new(),
        field: String::new(),
        message: format!(
            "this is no YAML: {}; what follows may not have been looked at (a chart has to be rendered first: helm template)",
            unreadable.why
        ),
    }
}

/// A kind of our group that does not exist, or no object at all.
fn strange(item: &Item) -> Option<Finding> {
    if !item.value.is_object() || item.kind().is_empty() {
        let message = "this is no object: it has no kind";
        return Some(item.finding(Severity::Error, &Field::default(), message));
    }
    let group = item.version().split('/').next().unwrap_or_default();
    let near = suggestion(item.kind(), [Templates::KIND]);
    let is_meant = group == Templates::GROUP || (!near.is_empty() && !item.version().contains('.'));
    is_meant.then(|| {
        let message = format!("{} has no kind {}{near}", Templates::GROUP, item.kind());
        item.finding(Severity::Error, &Field::of("kind"), message)
    })
}

/// What holds for the metadata of every object.
fn metadata(item: &Item, findings: &mut Vec<Finding>) {
    let meta = Field::of("metadata");
    let name = item.name();
    if name.is_empty() {
        findings.push(item.finding(Severity::Error, &meta.key("name"), "it has no name"));
    } else if !is_a_name(name) {
        let message = format!(
            "{name:?} is no name for an object: small letters, digits, '-' and '.' only, and at both ends a letter or a digit"
        );
        findings.push(item.finding(Severity::Error, &meta.key("name"), message));
    }
    for list in ["labels", "annotations"] {
        for (key, value) in part(item.value, &["metadata", list])
            .as_object()
            .into_iter()
            .flatten()
        {
            if !value.is_string() && !value.is_null() {
                let message = format!("must be a text: put it into quotes, \"{value}\"");
                let field = meta.key(list).key(key);
                findings.push(item.finding(Severity::Error, &field, message));
            }
        }
    }
}

fn is_a_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_fine = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(is_plain)
            && bytes.last().copied().is_some_and(is_plain)
            && bytes.iter().all(|byte| is_plain(*byte) || *byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_fine)
}
