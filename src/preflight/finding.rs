//! What was found of a pod that matters to a move of it: a sentence, what to do about it, and whether it keeps the pod where it is.

use crate::preflight::list::Item;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many are told of one pod.
pub const MOST: usize = 64;
/// So many letters of a sentence are told: names of programs and files are the pod's own.
const LONGEST: usize = 400;

/// Something that was found of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it is about, as in the list of docs/state.md.
    pub id: String,
    /// What was found.
    pub sentence: String,
    /// What to do about it.
    pub cure: String,
    /// Whether it keeps the pod where it is.
    #[serde(default)]
    pub severity: Severity,
}

/// Whether a finding keeps a pod where it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The pod is not moved.
    #[default]
    Refuses,
    /// It is, and this is what comes of it.
    Warns,
    /// One that a newer program knows.
    #[serde(other)]
    Unknown,
}

impl Finding {
    /// As the list has it, with what was seen of it.
    #[must_use]
    pub fn new(item: Item, sentence: &str) -> Self {
        Self::cured(item, sentence, item.about().cure)
    }

    /// With a cure of its own.
    #[must_use]
    pub fn cured(item: Item, sentence: &str, cure: &str) -> Self {
        let about = item.about();
        Self {
            id: about.id.to_owned(),
            sentence: plain(sentence),
            cure: plain(cure),
            severity: about.severity,
        }
    }

    /// The same where it keeps nothing.
    #[must_use]
    pub fn as_warning(self) -> Self {
        Self {
            severity: Severity::Warns,
            ..self
        }
    }

    /// It keeps the pod where it is.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.severity == Severity::Refuses
    }

    /// Both in one sentence.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}: {}", self.sentence, self.cure)
    }
}

/// The first that refuses, as a sentence, and how many more do.
#[must_use]
pub fn refusal(findings: &[Finding]) -> Option<String> {
    let mut refusing = findings.iter().filter(|one| one.refuses());
    let first = refusing.next()?.said();
    Some(match refusing.count() {
        0 => first,
        more => format!("{first} (and {more} more: holdfast preflight pod)"),
    })
}

/// Those that refuse first, and no more than there is room for.
#[must_use]
pub fn told(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|one| !one.refuses());
    findings.truncate(MOST);
    findings
}

/// One line of text, and not a long one.
fn plain(text: &str) -> String {
    let is_plain = |letter: &char| !letter.is_control();
    text.chars().filter(is_plain).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_refuses_is_said_and_the_others_are_counted() {
        let warns = Finding::new(Item::TcpEstablished, "one is open");
        let refuses = Finding::new(Item::IoUring, "it has a ring");
        assert!(!warns.refuses());
        assert_eq!(refusal(std::slice::from_ref(&warns)), None);
        let one = refusal(&[warns.clone(), refuses.clone()]).unwrap();
        assert_eq!(one, refuses.said());
        let more = refusal(&[refuses.clone(), warns.clone(), refuses.clone()]).unwrap();
        assert!(more.starts_with(&one) && more.contains("1 more"), "{more}");
        assert_eq!(told(vec![warns.clone(), refuses.clone()]), [refuses, warns]);
    }

    #[test]
    fn what_a_pod_names_its_programs_tells_no_second_line() {
        let liar = format!("a\u{1b}[2J\nb{}", "x".repeat(9000));
        let told = Finding::new(Item::ExecProcesses, &liar);
        assert!(told.sentence.starts_with("a[2Jbxx"), "{told:?}");
        assert_eq!(told.sentence.chars().count(), LONGEST);
    }

    #[test]
    fn a_severity_that_a_newer_program_writes_can_be_read() {
        let text = r#"{"id":"x","sentence":"s","cure":"c","severity":"shouts"}"#;
        let read: Finding = serde_json::from_str(text).unwrap();
        assert_eq!(read.severity, Severity::Unknown);
        assert!(!read.refuses());
    }
}
