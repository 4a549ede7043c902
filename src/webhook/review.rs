//! The admission review on the wire: what the API server asks, and what it is answered.
//!
//! The body is decoded once, borrowed, and only as far as an endpoint cares: it says by the type `T` which fields of the object it
//! reads. What it must not do: decide anything, or read an object whole, which would drop fields newer than our types.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// A longer warning may be cut by the API server in the middle of a word.
const LONGEST_WARNING: usize = 250;
/// More than this in all, and the API server cuts.
const MOST_WARNINGS: usize = 15;

/// One question of the API server, as far as `T` reads the object.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"), rename_all = "camelCase")]
pub struct Request<'a, T> {
    /// Names the question; the answer has to repeat it.
    #[serde(borrow)]
    pub uid: Cow<'a, str>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(borrow, default)]
    pub operation: Cow<'a, str>,
    /// Where the object lives; empty for objects without a namespace.
    #[serde(borrow, default)]
    pub namespace: Cow<'a, str>,
    /// The object's name; empty where the API server is still to make one.
    #[serde(borrow, default)]
    pub name: Cow<'a, str>,
    /// Nothing is to be kept of this.
    #[serde(default)]
    pub dry_run: Option<bool>,
    /// The object as it is to be.
    #[serde(default = "none")]
    pub object: Option<T>,
    /// The object as it was.
    #[serde(default = "none")]
    pub old_object: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"), rename_all = "camelCase")]
struct Review<'a, T> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(default = "none")]
    request: Option<Request<'a, T>>,
}

/// The body is no question that can be answered: a 400 with this sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl Malformed {
    /// A question that says too little, or too much, for an endpoint.
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// Reads a question.
///
/// # Errors
/// What is wrong with the body.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<Request<'a, T>, Malformed> {
    let review: Review<'a, T> = serde_json::from_slice(body)
        .map_err(|error| Malformed(format!("the body is no AdmissionReview: {error}")))?;
    if review.api_version != API_VERSION || review.kind != KIND {
        return Err(Malformed(format!(
            "this is {:?} of {:?}; only {KIND} of {API_VERSION} is answered here",
            shortened(&review.kind),
            shortened(&review.api_version)
        )));
    }
    let request = review
        .request
        .ok_or_else(|| Malformed("the AdmissionReview holds no request".into()))?;
    if request.uid.is_empty() {
        return Err(Malformed("the request has no uid".into()));
    }
    Ok(request)
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// What is answered to a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// A sentence that says what to change: the request is refused, whatever the failure policy says.
    pub refusal: Option<String>,
    /// Sentences for whoever sent the request.
    pub warnings: Vec<String>,
    /// For the audit log; the API server puts the webhook's name before each key.
    pub audit: BTreeMap<&'static str, String>,
    /// JSON Patch operations, as the text of a JSON array.
    pub patch: Option<String>,
}

impl Answer {
    /// The answer's text for the question with this uid.
    #[must_use]
    pub fn write(&self, uid: &str) -> Vec<u8> {
        let warnings: Vec<_> = self
            .warnings
            .iter()
            .take(MOST_WARNINGS)
            .map(|warning| cut(warning))
            .collect();
        let response = Response {
            uid,
            allowed: self.refusal.is_none(),
            status: self
                .refusal
                .as_deref()
                .map(|message| Status { message, code: 403 }),
            patch_type: self.patch.as_ref().map(|_| "JSONPatch"),
            patch: self.patch.as_ref().map(|patch| STANDARD.encode(patch)),
            warnings,
            audit_annotations: &self.audit,
        };
        let review = Answered {
            api_version: API_VERSION,
            kind: KIND,
            response,
        };
        // Strings, booleans and maps of strings: this cannot fail, and an empty body would be no answer, which is what it then is.
        serde_json::to_vec(&review).unwrap_or_default()
    }
}

fn cut(warning: &str) -> &str {
    let end = (0..=LONGEST_WARNING.min(warning.len()))
        .rev()
        .find(|end| warning.is_char_boundary(*end));
    warning.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Status<'a> {
    message: &'a str,
    code: u16,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[derive(Debug, Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }

    fn review(request: Value) -> Vec<u8> {
        let review = json!({ "apiVersion": API_VERSION, "kind": KIND, "request": request });
        serde_json::to_vec(&review).unwrap()
    }

    #[test]
    fn reads_what_an_api_server_sends() {
        let body = review(json!({
            "uid": "u1", "operation": "CREATE", "namespace": "apps", "dryRun": true,
            "object": { "name": "a\"b", "more": [1, 2] }, "oldObject": null, "options": { "kind": "CreateOptions" },
        }));
        let request = read::<Named>(&body).unwrap();
        assert_eq!((&*request.uid, &*request.operation), ("u1", "CREATE"));
        assert_eq!((&*request.namespace, request.dry_run), ("apps", Some(true)));
        assert_eq!(request.object.unwrap().name, "a\"b");
        assert!(request.old_object.is_none());
    }

    #[test]
    fn says_what_is_wrong_with_a_body() {
        let beta = json!({ "apiVersion": "admission.k8s.io/v1beta1", "kind": KIND, "request": { "uid": "u" } });
        for (body, says) in [
            (b"{".to_vec(), "no AdmissionReview"),
            (b"".to_vec(), "no AdmissionReview"),
            (b"[]".to_vec(), "only AdmissionReview"),
            (b"{}".to_vec(), "only AdmissionReview"),
            (serde_json::to_vec(&beta).unwrap(), "v1beta1"),
            (review(Value::Null), "no request"),
            (review(json!({ "uid": "" })), "no uid"),
            (review(json!({})), "uid"),
            (review(json!({ "uid": 7 })), "no AdmissionReview"),
        ] {
            let said = read::<Named>(&body).unwrap_err().to_string();
            assert!(said.contains(says), "{said}");
        }
    }

    fn written(answer: &Answer) -> Value {
        serde_json::from_slice(&answer.write("u\"1")).unwrap()
    }

    #[test]
    fn allows_with_a_patch_a_warning_and_a_note_for_the_audit_log() {
        let answer = Answer {
            patch: Some("[]".into()),
            warnings: vec!["look".into()],
            audit: BTreeMap::from([("sizing", "sized".into())]),
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
