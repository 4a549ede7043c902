//! Watches: what happened to the objects of a collection since a version, and then what happens, for ever.

use super::{Answer, ApiServer, is_in, refusal};
use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use std::convert::Infallible;
use tokio::sync::watch;

/// Every change, and a bell for whoever waits for the next one.
#[derive(Default)]
pub(super) struct History {
    changes: Vec<Change>,
    /// What was before this version is forgotten.
    pub(super) oldest: u64,
    /// How often all watches were cut.
    cuts: u64,
    bell: watch::Sender<()>,
}

struct Change {
    version: u64,
    path: String,
    line: Bytes,
}

impl History {
    pub(super) fn tell(&mut self, version: u64, path: &str, kind: &str, object: Value) {
        let line = format!("{}\n", json!({ "type": kind, "object": object }));
        self.changes.push(Change {
            version,
            path: path.to_owned(),
            line: line.into(),
        });
        self.bell.send_replace(());
    }

    /// Whether there ever was an object in a collection: one that is empty now is still served.
    pub(super) fn knows(&self, collection: &str) -> bool {
        self.changes
            .iter()
            .any(|change| is_in(collection, &change.path))
    }

    fn next(&self, collection: &str, since: u64) -> Option<(u64, Bytes)> {
        if since < self.oldest {
            let gone = json!({ "type": "ERROR", "object": refusal(StatusCode::GONE, "Expired").1 });
            return Some((u64::MAX, format!("{gone}\n").into()));
        }
        self.changes
            .iter()
            .find(|change| change.version > since && is_in(collection, &change.path))
            .map(|change| (change.version, change.line.clone()))
    }
}

/// The version since which a request wants to watch, if it wants to.
pub(super) fn since(query: Option<&str>) -> Option<u64> {
    let fields: Vec<_> = query?.trim_start_matches('&').split('&').collect();
    let version = |field: &&str| field.strip_prefix("resourceVersion=")?.parse().ok();
    fields
        .contains(&"watch=true")
        .then(|| fields.iter().find_map(version).unwrap_or_default())
}

impl ApiServer {
    /// All open watches end.
    pub(crate) fn cut_watches(&self) {
        self.state(|state| {
            state.history.cuts = state.history.cuts.saturating_add(1);
            state.history.bell.send_replace(());
        });
    }

    /// Who was not told of all that happened so far has to list anew.
    pub(crate) fn forget_history(&self) {
        self.state(|state| {
            state.version = state.version.saturating_add(1);
            state.history.oldest = state.version;
        });
    }

    /// Whoever watches a collection is told how far the server is.
    pub(crate) fn bookmark(&self, collection: &str) {
        self.state(|state| {
            state.version = state.version.saturating_add(1);
            let version = state.version;
            let object = json!({ "kind": "Any", "apiVersion": "v1", "metadata": { "resourceVersion": version.to_string() } });
            let path = format!("{collection}/-");
            state.history.tell(version, &path, "BOOKMARK", object);
        });
    }

    pub(super) fn watch(&self, collection: &str, since: u64) -> Answer {
        let (bell, cuts) = self.state(|state| (state.history.bell.subscribe(), state.history.cuts));
        let start = (self.clone(), collection.to_owned(), since, bell);
        let lines = stream::unfold(
            start,
            move |(server, collection, since, mut bell)| async move {
                loop {
                    bell.mark_unchanged();
                    let (next, is_cut) = server.state(|state| {
                        let history = &state.history;
                        (history.next(&collection, since), history.cuts != cuts)
                    });
                    if is_cut {
                        return None;
                    }
                    if let Some((version, line)) = next {
                        let frame = Ok::<_, Infallible>(Frame::data(line));
                        return Some((frame, (server, collection, version, bell)));
                    }
                    bell.changed().await.ok()?;
                }
            },
        );
        StreamBody::new(lines).boxed_unsync()
    }
}
