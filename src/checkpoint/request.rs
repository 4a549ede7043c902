//! A person asks for a Checkpoint, with their own rights.

use crate::checkpoint::api::Checkpoint;
use crate::kit::error::Error;
use crate::process::writes::{self, CALL_LIMIT, bounded};
use crate::write_steps;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt};

write_steps! {
    /// A Checkpoint is made.
    ASK,
}

/// The longest name that an object may have.
const LONGEST_NAME: usize = 253;

/// What a Checkpoint of a pod is called where nobody names it: the pod's name and the time, in UTC.
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

/// Makes it.
///
/// # Errors
/// A sentence that says what to change, or the API server's answer.
pub(crate) async fn request(client: &Client, checkpoint: &Checkpoint) -> Result<Checkpoint, Error> {
    let namespace = checkpoint.namespace().unwrap_or_default();
    let api: Api<Checkpoint> = Api::namespaced(client.clone(), &namespace);
    let made = writes::create(&api, (&ASK).into(), checkpoint).await;
    made.map_err(|error| cure(error, &namespace, &checkpoint.name_any()))
}

/// What a person can do about a refusal.
fn cure(error: Error, namespace: &str, name: &str) -> Error {
    let said = error.said().unwrap_or_default();
    let why = if error.is_conflict() {
        "there is one of this name already: say another --name".to_owned()
    } else if error.is_not_found() && said.contains("namespaces") {
        format!("there is no namespace {namespace}: name the pod as NAMESPACE/NAME")
    } else {
        return missing(error);
    };
    Error::Invalid {
        what: format!("checkpoint {namespace}/{name}"),
        why,
    }
}

/// A cluster without Holdfast, or a person without the right.
pub(crate) fn missing(error: Error) -> Error {
    let why = match error.class() {
        "not_found" => "it does not know Checkpoints: install Holdfast there, or its CRDs alone with `holdfast crds | kubectl apply --server-side -f -`".to_owned(),
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
    use crate::checkpoint::api::CheckpointSpec;
    use crate::testkit::api_server::ApiServer;
    use http::StatusCode;
    use serde_json::json;

    const CHECKPOINTS: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/checkpoints";

    fn wanted() -> Checkpoint {
        let mut checkpoint = Checkpoint::new("c", CheckpointSpec::default());
        checkpoint.metadata.namespace = Some("apps".into());
        checkpoint
    }

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

    #[tokio::test(start_paused = true)]
    async fn a_refusal_says_what_to_do() {
        let post = format!("POST {CHECKPOINTS}");
        for (code, said, says) in [
            (
                StatusCode::NOT_FOUND,
                "namespaces \"apps\" not found",
                "no namespace apps",
            ),
            (StatusCode::NOT_FOUND, "404 page not found", "holdfast crds"),
            (
                StatusCode::FORBIDDEN,
                "User \"x\" cannot create",
                "holdfast-editor",
            ),
            (StatusCode::CONFLICT, "already exists", "--name"),
        ] {
            let server = ApiServer::default();
            server.refuse_saying(&post, code, said);
            let error = request(&server.client(), &wanted()).await.unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
        let server = ApiServer::default();
        request(&server.client(), &wanted()).await.unwrap();
        assert!(server.stored(&format!("{CHECKPOINTS}/c")).is_some());
    }
}
