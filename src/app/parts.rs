//! What all slices run in one manager: their webhooks and what they know on every replica, their controllers on the leader.

use crate::app::{Controller, Ground, SLICES};
use crate::kit::error::Error;
use crate::webhook::endpoint::Endpoint;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The running parts of a manager.
pub(crate) struct Parts {
    kept: JoinSet<()>,
    stop: CancellationToken,
}

impl Parts {
    /// Begins all slices; their caches fill from now on.
    pub(crate) fn begin(ground: &Ground) -> (Self, Vec<Arc<dyn Endpoint>>, Vec<Controller>) {
        let (mut endpoints, mut controls) = (Vec::new(), Vec::new());
        let (mut kept, stop) = (JoinSet::new(), CancellationToken::new());
        for slice in SLICES {
            let part = (slice.begin)(ground);
            endpoints.extend(part.endpoints);
            controls.push(part.control);
            kept.spawn((part.keep)(stop.clone()));
        }
        (Self { kept, stop }, endpoints, controls)
    }

    /// Returns when a part ended although nobody stopped it.
    pub(crate) async fn ended(&mut self) -> Error {
        let ended = self.kept.join_next().await;
        let why = ended.and_then(Result::err);
        Error::Ended {
            part: "what a slice keeps",
            why: why.map_or_else(|| "it returned".into(), |error| error.to_string()),
        }
    }

    /// Ends them, after the last review was answered.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        while self.kept.join_next().await.is_some() {}
    }
}
