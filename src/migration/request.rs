//! A person asks for a Migration, with their own rights.

use crate::kit::error::Error;
use crate::migration::api::Migration;
use crate::process::asking;
use crate::write_steps;
use kube::Client;

write_steps! {
    /// A Migration is made.
    ASK,
}

/// Makes it.
///
/// # Errors
/// A sentence that says what to change, or the API server's answer.
pub(crate) async fn request(client: &Client, migration: &Migration) -> Result<Migration, Error> {
    asking::make(client, (&ASK).into(), migration).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::api::MigrationSpec;
    use crate::testkit::api_server::ApiServer;
    use http::StatusCode;

    const MIGRATIONS: &str = "/apis/holdfast.dev/v1alpha1/namespaces/apps/migrations";

    #[tokio::test(start_paused = true)]
    async fn it_is_made_and_a_refusal_speaks_of_migrations() {
        let mut wanted = Migration::new("m", MigrationSpec::default());
        wanted.metadata.namespace = Some("apps".into());
        let server = ApiServer::default();
        let post = format!("POST {MIGRATIONS}");
        server.refuse_saying(&post, StatusCode::NOT_FOUND, "404 page not found");
        let error = request(&server.client(), &wanted).await.unwrap_err();
        assert!(
            error.to_string().contains("it does not know Migrations"),
            "{error}"
        );
        request(&server.client(), &wanted).await.unwrap();
        assert!(server.stored(&format!("{MIGRATIONS}/m")).is_some());
    }
}
