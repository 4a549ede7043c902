//! Signs of life of a watch: whatever the API server sends on it, a bookmark too. kube swallows bookmarks, so a cache of objects that
//! seldom change would look the same whether its watch is quiet or cut; the bytes tell.

use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// When the API server last said anything.
#[derive(Clone)]
pub(crate) struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pulse {
    /// How long ago that was; before the first time, since this was made.
    pub(crate) fn age(&self) -> Duration {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// The same client, with each part of a good answer counting as a sign of life.
    pub(crate) fn of(&self, client: &Client) -> Client {
        let (client, pulse) = (client.clone(), self.clone());
        let namespace = client.default_namespace().to_owned();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (client, pulse) = (client.clone(), pulse.clone());
            async move {
                let answer = client.send(request).await?;
                let is_good = answer.status().is_success();
                if is_good {
                    pulse.beat();
                }
                Ok::<_, kube::Error>(answer.map(|body| {
                    body.map_frame(move |frame| {
                        if is_good {
                            pulse.beat();
                        }
                        frame
                    })
                }))
            }
        });
        Client::new(service, namespace)
    }
}
