//! What a person asks for with their own rights: an object of ours about a pod is made, and a refusal is answered with what to do.

use crate::kit::error::Error;
use crate::process::writes::{self, CALL_LIMIT, Call, Stored, bounded};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, Resource, ResourceExt};

/// The longest name that an object may have.
const LONGEST_NAME: usize = 253;

/// What an object about a pod is called where nobody names it: the pod's name and the time, in UTC.
#[must_use]
pub(crate) fn name_of(pod: &str, now: Timestamp) -> String {
    let time = now.strftime("%Y%m%d-%H%M%S").to_string();
    let room = LONGEST_NAME.saturating_sub(time.len()).saturating_sub(1);
    let head: String = pod.chars().take(room).collect();
    format!("{}-{time}", head.trim_end_matches(['-', '.']))
}

/// The uid of the pod that is there now; none where the caller may not look at pods.
///
/// # Errors
/// There is no such pod, or the API server's answer.
pub(crate) async fn uid_of(
    client: &Client,
    (namespace, name): (&str, &str),
) -> Result<Option<String>, Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let what = format!("pod {namespace}/{name}");
    match bounded(CALL_LIMIT, "get", what, pods.get_opt(name)).await {
        Ok(Some(pod)) => Ok(pod.uid()),
        Ok(None) => Err(Error::Invalid {
            what: format!("pod {namespace}/{name}"),
            why: format!("there is none of this name: see kubectl get pods -n {namespace}"),
        }),
        Err(error) if error.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Who asks, as the API server knows them.
///
/// # Errors
/// The API server's answer.
pub(crate) async fn me(client: &Client, call: Call<'_>) -> Result<String, Error> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = writes::create(&reviews, call, &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info);
    let name = user.and_then(|user| user.username);
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| Error::Invalid {
            what: "the API server's answer".into(),
            why: "it does not say who you are".into(),
        })
}

/// Makes it.
///
/// # Errors
/// A sentence that says what to change, or the API server's answer.
pub(crate) async fn make<K>(client: &Client, call: Call<'_>, wanted: &K) -> Result<K, Error>
where
    K: Stored + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let namespace = wanted.namespace().unwrap_or_default();
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    let made = writes::create(&api, call, wanted).await;
    made.map_err(|error| cure::<K>(error, &namespace, &wanted.name_any()))
}

/// What a person can do about a refusal.
fn cure<K: Resource<DynamicType = ()>>(error: Error, namespace: &str, name: &str) -> Error {
    let said = error.said().unwrap_or_default();
    let why = if error.is_conflict() {
        "there is one of this name already: say another --name".to_owned()
    } else if error.is_not_found() && said.contains("namespaces") {
        format!("there is no namespace {namespace}: name the pod as NAMESPACE/NAME")
    } else {
        return missing::<K>(error);
    };
    Error::Invalid {
        what: format!("{} {namespace}/{name}", K::kind(&()).to_lowercase()),
        why,
    }
}

/// A cluster without Holdfast, or a person without the right.
pub(crate) fn missing<K: Resource<DynamicType = ()>>(error: Error) -> Error {
    let why = match error.class() {
        "not_found" => format!(
            "it does not know {}s: install Holdfast there, or its CRDs alone with `holdfast crds | kubectl apply --server-side -f -`",
            K::kind(&())
        ),
        "forbidden" => format!(
            "you lack a right: {}; the ClusterRoles holdfast-viewer and holdfast-editor have what is needed",
            error.said().unwrap_or_default()
        ),
        _ => return error,
    };
    Error::Invalid {
        what: "the cluster of this kubeconfig".into(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::api_server::ApiServer;
    use serde_json::json;

    #[test]
    fn a_name_has_the_pod_and_the_time_in_it() {
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        assert_eq!(name_of("web-0", now), "web-0-20260101-000000");
        let long = name_of(&"a.".repeat(126), now);
        assert!(long.len() <= LONGEST_NAME, "{long}");
        assert!(long.ends_with("a-20260101-000000"), "{long}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_pod_that_is_there_is_meant() {
        let server = ApiServer::default();
        let pod = ("apps", "web");
        let absent = uid_of(&server.client(), pod).await.unwrap_err();
        assert!(absent.to_string().contains("kubectl get pods -n apps"));
        server.put(
            "/api/v1/namespaces/apps/pods/web",
            json!({ "metadata": { "name": "web", "uid": "u" } }),
        );
        assert_eq!(
            uid_of(&server.client(), pod).await.unwrap().as_deref(),
            Some("u")
        );
        server.forbid("GET /api/v1/namespaces/apps/pods");
        assert_eq!(uid_of(&server.client(), pod).await.unwrap(), None);
    }
}
