//! Finalizers of objects, as fields of a patch.

use kube::ResourceExt;
use serde_json::{Value, json};

/// Those of an object, with ours or without it.
#[must_use]
pub fn finalizers(object: &impl ResourceExt, ours: &str, is_held: bool) -> Value {
    let others = object.finalizers().iter().map(String::as_str);
    let others = others.filter(|one| *one != ours);
    let all: Vec<_> = others.chain(is_held.then_some(ours)).collect();
    json!({ "metadata": { "finalizers": all } })
}
