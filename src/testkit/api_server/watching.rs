//! Watches: what happened to the objects of a collection since a version, and then what happens, for ever.

use super::{Answer, ApiServer, is_in};
use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use std::convert::Infallible;
use tokio::sync::watch;

/// Every change, and a bell for whoever waits for the next one.
#[derive(Default)]
pub(super) struct History {
    changes: Vec<Change>,
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
    pub(super) fn watch(&self, collection: &str, since: u64) -> Answer {
        let bell = self.state(|state| state.history.bell.subscribe());
        let start = (self.clone(), collection.to_owned(), since, bell);
        let lines = stream::unfold(start, |(server, collection, since, mut bell)| async move {
            loop {
                bell.mark_unchanged();
                let next = server.state(|state| state.history.next(&collection, since));
                if let Some((version, line)) = next {
                    let frame = Ok::<_, Infallible>(Frame::data(line));
                    return Some((frame, (server, collection, version, bell)));
                }
                bell.changed().await.ok()?;
            }
        });
        StreamBody::new(lines).boxed_unsync()
    }
}
