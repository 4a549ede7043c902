//! Which pod a verb is about, and times as its flags say them.

use crate::process::flags::duration;

/// A pod, by its name.
#[derive(Debug, clap::Args)]
pub struct OnePod {
    /// The pod, as NAMESPACE/NAME or NAME
    #[arg(value_name = "NAMESPACE/NAME", value_parser = pod_name)]
    pub pod: String,
    /// Namespace of the pod, where its name comes without one
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
}

impl OnePod {
    /// Its namespace and its name.
    pub(super) fn parts(self) -> (String, String) {
        let Self { pod, namespace } = self;
        match pod.split_once('/') {
            Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
            None => (namespace, pod),
        }
    }
}

/// One that could be a pod's: an empty one would be taken for all of them.
fn pod_name(text: &str) -> Result<String, String> {
    object_name(text, "a pod's name", "apps/web")
}

/// One that could be the name of an object, with its namespace or without.
pub(super) fn object_name(text: &str, what: &str, like: &str) -> Result<String, String> {
    let parts: Vec<_> = text.split('/').collect();
    let is_name = |part: &&str| {
        let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(is_fit)
    };
    if parts.len() > 2 || !parts.iter().all(is_name) {
        return Err(format!(
            "{text:?} is not {what}; write it like {like}, or without its namespace, which --namespace says then"
        ));
    }
    Ok(text.to_owned())
}

/// Whole seconds, at least one.
pub(super) fn seconds(text: &str, most: u32) -> Result<u32, String> {
    let length = duration(text)?;
    let whole = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
    if length.subsec_nanos() > 0 || whole == 0 || whole > most {
        return Err(format!(
            "{text:?} cannot be used: write whole seconds, from 1s to {most}s, like 90s or 1h30m"
        ));
    }
    Ok(whole)
}
