//! What an API server is answered, and how it is written.

use crate::kit::json::escaped;
use crate::webhook::review::base64;

/// How every answer begins.
const HEAD: &str =
    r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"#;
/// What an answer holds beside its patch, for the most part.
const SPACE_BESIDES: usize = 512;
/// A longer warning may be cut by the API server in the middle of a word.
const LONGEST_WARNING: usize = 250;
/// More than this in all, and the API server cuts.
const MOST_WARNINGS: usize = 15;

/// What is answered to a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// A sentence that says what to change: the request is refused, whatever the failure policy says.
    pub refusal: Option<String>,
    /// Sentences for whoever sent the request.
    pub warnings: Vec<String>,
    /// For the audit log; the API server puts the webhook's name before each key.
    pub audit: Vec<(&'static str, String)>,
    /// JSON Patch operations, as the text of a JSON array.
    pub patch: Option<String>,
}

impl Answer {
    /// The answer's text for the question with this uid.
    #[must_use]
    pub fn write(&self, uid: &str) -> Vec<u8> {
        let patch = self.patch.as_deref().unwrap_or_default();
        // In base64 it is longer by a third.
        let space = patch.len().saturating_mul(3) / 2;
        let mut text = Text(Vec::with_capacity(space.saturating_add(SPACE_BESIDES)));
        text.plain(HEAD);
        text.escaped(uid);
        match &self.refusal {
            None => text.plain(r#","allowed":true"#),
            Some(message) => {
                text.plain(r#","allowed":false,"status":{"message":"#);
                text.escaped(message);
                text.plain(r#","code":403}"#);
            }
        }
        if self.patch.is_some() {
            text.plain(r#","patchType":"JSONPatch","patch":""#);
            base64::append(&mut text.0, patch.as_bytes());
            text.plain("\"");
        }
        if !self.warnings.is_empty() {
            text.plain(r#","warnings":["#);
            for (at, warning) in self.warnings.iter().take(MOST_WARNINGS).enumerate() {
                text.plain(if at == 0 { "" } else { "," });
                text.escaped(cut(warning));
            }
            text.plain("]");
        }
        if !self.audit.is_empty() {
            text.plain(r#","auditAnnotations":{"#);
            for (at, (key, value)) in self.audit.iter().enumerate() {
                text.plain(if at == 0 { "" } else { "," });
                text.escaped(key);
                text.plain(":");
                text.escaped(value);
            }
            text.plain("}");
        }
        text.plain("}}");
        text.0
    }
}

/// JSON, as it is written.
struct Text(Vec<u8>);

impl Text {
    fn plain(&mut self, json: &str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    fn escaped(&mut self, text: &str) {
        self.0.push(b'"');
        self.plain(&escaped(text));
        self.0.push(b'"');
    }
}

fn cut(warning: &str) -> &str {
    let end = (0..=LONGEST_WARNING.min(warning.len()))
        .rev()
        .find(|end| warning.is_char_boundary(*end));
    warning.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::review::{API_VERSION, KIND};
    use serde_json::{Value, json};

    fn written(answer: &Answer) -> Value {
        serde_json::from_slice(&answer.write("u\"1")).unwrap()
    }

    #[test]
    fn allows_with_a_patch_a_warning_and_a_note_for_the_audit_log() {
        let answer = Answer {
            patch: Some("[]".into()),
            warnings: vec!["look".into()],
            audit: vec![("sizing", "sized".into())],
            refusal: None,
        };
        let expected = json!({ "apiVersion": API_VERSION, "kind": KIND, "response": {
            "uid": "u\"1", "allowed": true, "patchType": "JSONPatch", "patch": "W10=", "warnings": ["look"],
            "auditAnnotations": { "sizing": "sized" },
        } });
        assert_eq!(written(&answer), expected);
    }

    #[test]
    fn a_refusal_says_why_and_nothing_else_is_sent() {
        let refused = Answer {
            refusal: Some("change this".into()),
            ..Answer::default()
        };
        let response = &written(&refused)["response"];
        assert_eq!(
            response,
            &json!({ "uid": "u\"1", "allowed": false, "status": { "message": "change this", "code": 403 } })
        );
        assert_eq!(
            written(&Answer::default())["response"],
            json!({ "uid": "u\"1", "allowed": true })
        );
    }

    #[test]
    fn a_warning_is_cut_between_two_letters() {
        let answer = Answer {
            warnings: vec!["ü".repeat(300); 40],
            ..Answer::default()
        };
        let written = written(&answer);
        let warnings = written["response"]["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), MOST_WARNINGS);
        assert_eq!(warnings[0].as_str().unwrap().chars().count(), 125);
    }
}
