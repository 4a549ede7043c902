//! Who gets an agent's certificate. Pure.
//!
//! A certificate says of its owner that he is the agent of one node; whoever shows it is given states of pods, with all that they have
//! in memory. So each rule below has to hold, and what breaks one is denied for good, with a sentence.
//!
//! | the request | is |
//! |---|---|
//! | is of another signer; has been denied, has failed, or has its certificate | left alone |
//! | keeps all rules | approved, and then signed |
//! | breaks one | denied; or, where somebody else has approved it, marked as failed |

use crate::kit::agents::{SIGNER, name_of};
use crate::webhook::authority::request::Request;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestSpec,
};
use std::time::Duration;

/// Put there by API servers on a token that is bound to a pod: the pod's node.
const NODE_CLAIM: &str = "authentication.kubernetes.io/node-name";

/// What an agent does with its certificate, each once.
pub(crate) const USAGES: [&str; 3] = ["client auth", "digital signature", "server auth"];

/// No certificate lives longer.
pub(crate) const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

/// What is done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// It keeps all rules.
    Approve,
    /// It does not, and this is why.
    Deny(String),
    /// It was approved, and keeps all rules.
    Sign(Box<Wanted>),
    /// It was approved by somebody else, and does not.
    Fail(String),
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The key, and the one name.
    pub(crate) request: Request,
    /// For so long.
    pub(crate) life: Duration,
}

/// What is done next with a request, if anything. `account`: the agents' user name.
#[must_use]
pub(crate) fn plan(object: &CertificateSigningRequest, account: &str) -> Option<Step> {
    if object.spec.signer_name != SIGNER {
        return None;
    }
    let status = object.status.as_ref();
    let has = |kind: &str| {
        let conditions = status.and_then(|status| status.conditions.as_deref());
        let mut conditions = conditions.unwrap_or_default().iter();
        conditions.any(|one| one.type_ == kind && one.status == "True")
    };
    let certificate = status.and_then(|status| status.certificate.as_ref());
    let is_signed = certificate.is_some_and(|certificate| !certificate.0.is_empty());
    if is_signed || has("Denied") || has("Failed") {
        return None;
    }
    Some(match (judge(&object.spec, account), has("Approved")) {
        (Ok(_), false) => Step::Approve,
        (Ok(wanted), true) => Step::Sign(Box::new(wanted)),
        (Err(why), false) => Step::Deny(why),
        (Err(why), true) => Step::Fail(why),
    })
}

/// What a request is to get; else a sentence.
fn judge(spec: &CertificateSigningRequestSpec, account: &str) -> Result<Wanted, String> {
    let user = spec.username.as_deref().unwrap_or_default();
    if user != account {
        return Err(format!(
            "only {account} may ask for an agent's certificate, and {user:?} did"
        ));
    }
    let node = node(spec)?;
    let name = name_of(node)?;
    let mut usages = spec.usages.clone().unwrap_or_default();
    usages.sort();
    if usages != USAGES {
        return Err(format!(
            "its usages are [{}], not [{}]",
            usages.join(", "),
            USAGES.join(", ")
        ));
    }
    let request = Request::read(&spec.request.0).map_err(|why| format!("its request: {why}"))?;
    if request.name() != name {
        return Err(format!(
            "it asks for the name {}, and its token is bound to a pod on node {node}: only {name} is signed for it",
            request.name()
        ));
    }
    Ok(Wanted {
        request,
        life: life(spec),
    })
}

/// The one node to which the asker's token is bound.
fn node(spec: &CertificateSigningRequestSpec) -> Result<&str, String> {
    let extra = spec.extra.as_ref();
    let claims = extra.and_then(|extra| extra.get(NODE_CLAIM));
    match claims.map(Vec::as_slice).unwrap_or_default() {
        [node] => Ok(node),
        [] => Err(format!(
            "its token names no node ({NODE_CLAIM}): an agent asks with the token that the kubelet gives its pod"
        )),
        many => Err(format!("its token names {} nodes", many.len())),
    }
}

/// A signer may sign for a shorter time than was asked for.
fn life(spec: &CertificateSigningRequestSpec) -> Duration {
    let asked = spec
        .expiration_seconds
        .and_then(|asked| u64::try_from(asked).ok());
    asked.map_or(LONGEST_LIFE, |asked| {
        Duration::from_secs(asked).min(LONGEST_LIFE)
    })
}

#[cfg(test)]
mod tests;
