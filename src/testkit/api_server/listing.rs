//! Lists: what is stored in a collection, in pages if asked so. A page that follows is of the same version as the first.

use super::{ApiServer, State, is_in, refusal};
use http::StatusCode;
use serde_json::{Value, json};

/// One page of a collection.
struct Page {
    version: u64,
    from: usize,
    limit: usize,
}

impl Page {
    fn asked(query: Option<&str>, now: u64) -> Self {
        let query = query.unwrap_or_default();
        let field = |name: &str| {
            let mut fields = query.split('&').filter_map(|field| field.split_once('='));
            fields.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let follows = field("continue").and_then(|token| token.split_once('-'));
        let (version, from) = follows.map_or((now, 0), |(version, from)| {
            (version.parse().unwrap(), from.parse().unwrap())
        });
        Self {
            version,
            from,
            limit: field("limit").map_or(usize::MAX, |limit| limit.parse().unwrap()),
        }
    }
}

impl ApiServer {
    /// All objects whose path has this part.
    pub(crate) fn all(&self, part: &str) -> Vec<Value> {
        self.state(|state| {
            let ours = state.objects.iter().filter(|(path, _)| path.contains(part));
            ours.map(|(_, object)| object.clone()).collect()
        })
    }
}

impl State {
    /// An object, or, where nothing is stored at the path itself, the list of what is stored below it.
    pub(super) fn read(&self, path: &str, query: Option<&str>) -> (StatusCode, Value) {
        if let Some(object) = self.objects.get(path) {
            return (StatusCode::OK, object.clone());
        }
        let items: Vec<_> = self
            .objects
            .iter()
            .filter(|(key, _)| is_in(path, key))
            .map(|(_, object)| object.clone())
            .collect();
        let is_served = self.served.iter().any(|served| served == path);
        if items.is_empty() && !is_served && !self.history.knows(path) {
            let (code, mut answer) = refusal(StatusCode::NOT_FOUND, "NotFound");
            answer["details"] = json!({ "name": path.rsplit('/').next() });
            return (code, answer);
        }
        let page = Page::asked(query, self.version);
        if page.version < self.history.oldest {
            return refusal(StatusCode::GONE, "Expired");
        }
        let rest = items.get(page.from..).unwrap_or_default();
        let (shown, later) = rest.split_at(rest.len().min(page.limit));
        let mut metadata = json!({ "resourceVersion": page.version.to_string() });
        if !later.is_empty() {
            let next = page.from.checked_add(shown.len()).unwrap();
            metadata["continue"] = json!(format!("{}-{next}", page.version));
        }
        (
            StatusCode::OK,
            json!({ "kind": "List", "apiVersion": "v1", "metadata": metadata, "items": shown }),
        )
    }
}
