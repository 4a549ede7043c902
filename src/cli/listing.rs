//! What verbs that list objects of ours have in common: which ones, all pages of them, and how old each is.

use crate::cli::table::Form;
use crate::kit::error::Error;
use crate::process::asking::missing;
use crate::process::clients::Clients;
use crate::process::writes::{CALL_LIMIT, Stored, bounded};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ListParams;
use kube::{Api, Resource};

/// So many are read at once.
const PAGE: u32 = 500;

/// Which ones, and how they are told.
#[derive(Debug, clap::Args)]
pub struct Listing {
    /// Of this namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Of all namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// How to print the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Form,
}

impl Listing {
    /// All that are meant.
    ///
    /// # Errors
    /// The cluster cannot be read.
    pub(super) async fn read<K>(&self) -> Result<Vec<K>, Error>
    where
        K: Stored + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let client = Clients::infer().await?.api;
        let api: Api<K> = if self.all_namespaces {
            Api::all(client)
        } else {
            Api::namespaced(client, &self.namespace)
        };
        read(&api).await.map_err(missing::<K>)
    }
}

pub(super) async fn read<K: Stored + Resource<DynamicType = ()>>(
    api: &Api<K>,
) -> Result<Vec<K>, Error> {
    let mut params = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let what = K::plural(&()).into_owned();
        let page = bounded(CALL_LIMIT, "list", what, api.list(&params)).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// What is in a cell: nothing is a dash.
pub(super) fn shown(told: Option<String>) -> String {
    told.unwrap_or_else(|| "-".into())
}

/// How long it has been there.
pub(super) fn age(created: Option<&Time>, now: Timestamp) -> String {
    shown(created.map(|time| largest(now.duration_since(time.0).as_secs())))
}

/// In the largest unit, as kubectl says it.
fn largest(seconds: i64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let told = units.into_iter().find_map(|(length, unit)| {
        let whole = seconds.checked_div(length).filter(|whole| *whole > 0)?;
        Some(format!("{whole}{unit}"))
    });
    told.unwrap_or_else(|| format!("{}s", seconds.max(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::api::Checkpoint;
    use crate::testkit::api_server::ApiServer;
    use serde_json::json;

    #[test]
    fn ages_are_told_in_their_largest_unit() {
        for (seconds, told) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m"),
            (7199, "1h"),
            (172_800, "2d"),
        ] {
            assert_eq!(largest(seconds), told);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_pages_are_read() {
        let server = ApiServer::default();
        for number in 0..PAGE.checked_add(1).unwrap() {
            let name = format!("c-{number}");
            let path = format!("/apis/holdfast.dev/v1alpha1/namespaces/apps/checkpoints/{name}");
            let object = json!({
                "apiVersion": "holdfast.dev/v1alpha1", "kind": "Checkpoint",
                "metadata": { "name": name, "namespace": "apps" }, "spec": { "podName": "web" },
            });
            server.put(&path, object);
        }
        let read = read::<Checkpoint>(&Api::all(server.client())).await;
        assert_eq!(read.unwrap().len(), 501);
    }
}
