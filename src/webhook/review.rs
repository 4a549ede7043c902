//! The admission review on the wire: what the API server asks, and what it is answered.
//!
//! The body is decoded once, borrowed, and only as far as an endpoint cares: it says by the type `T` which fields of the object it
//! reads. What it must not do: decide anything, or read an object whole, which would drop fields newer than our types.

mod answer;
mod base64;
mod quick;

pub use answer::Answer;

use crate::kit::json::{self, Quick, Shapes};
use serde::Deserialize;
use std::borrow::Cow;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

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

/// Reads a question: quickly, if it is written as API servers write.
///
/// # Errors
/// What is wrong with the body.
pub fn read_quickly<'a, T>(body: &'a [u8], shapes: &Shapes) -> Result<Request<'a, T>, Malformed>
where
    T: Deserialize<'a> + Quick<'a>,
{
    match json::quick(body, shapes) {
        Some(review) => request(review),
        None => read(body),
    }
}

/// Whether a question is one of those that are read quickly.
#[cfg(test)]
pub(crate) fn is_usual<'a, T: Quick<'a>>(body: &'a [u8]) -> bool {
    json::quick::<Review<'a, T>>(body, &Shapes::default()).is_some()
}

/// Reads a question.
///
/// # Errors
/// What is wrong with the body.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<Request<'a, T>, Malformed> {
    let review = serde_json::from_slice(body)
        .map_err(|error| Malformed(format!("the body is no AdmissionReview: {error}")))?;
    request(review)
}

fn request<T>(review: Review<T>) -> Result<Request<T>, Malformed> {
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
}
