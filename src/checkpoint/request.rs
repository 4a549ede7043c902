//! A person asks for a Checkpoint, with their own rights.

use crate::checkpoint::api::Checkpoint;
use crate::kit::error::Error;
use crate::process::asking;
use crate::write_steps;
use kube::Client;

write_steps! {
    /// A Checkpoint is made.
    ASK,
}

/// Makes it.
///
/// # Errors
/// A sentence that says what to change, or the API server's answer.
pub(crate) async fn request(client: &Client, checkpoint: &Checkpoint) -> Result<Checkpoint, Error> {
    asking::make(client, (&ASK).into(), checkpoint).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::api::CheckpointSpec;
    use crate::testkit::api_server::ApiServer;
    use http::StatusCode;

    const CHECKPOINTS: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/checkpoints";

    fn wanted() -> Checkpoint {
        let mut checkpoint = Checkpoint::new("c", CheckpointSpec::default());
        checkpoint.metadata.namespace = Some("apps".into());
        checkpoint
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
