//! Whole passes over an API server in memory.

use super::*;
use crate::testkit::api_server::ApiServer;
use crate::webhook::authority::request::ask;
use crate::webhook::tls::certificates;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use serde_json::{Value, json};

const REQUEST: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests/one";
const SECRET: &str = "/api/v1/namespaces/apps/secrets/hooks-agent-ca";

fn server(node: &str) -> ApiServer {
    let server = ApiServer::default();
    let pem = ask("n1.agents.holdfast.dev", &KeyPair::generate().unwrap()).unwrap();
    server.put(
        REQUEST,
        json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": { "name": "one" },
            "spec": {
                "signerName": SIGNER, "request": STANDARD.encode(pem),
                "usages": ["digital signature", "server auth", "client auth"],
                "username": "system:serviceaccount:apps:hooks-agent",
                "extra": { "authentication.kubernetes.io/node-name": [node] },
            },
        }),
    );
    server
}

fn at(server: &ApiServer) -> Arc<Context> {
    let installation = Installation::new(server.client(), server.carrier(), "apps", "hooks");
    let means = Means {
        client: server.client(),
        namespace: "apps".into(),
        installation: Some(installation),
    };
    Arc::new(context(means).unwrap())
}

async fn pass(server: &ApiServer, context: &Arc<Context>) -> Result<Action, Error> {
    let request = serde_json::from_value(server.stored(REQUEST).unwrap()).unwrap();
    reconcile(Arc::new(request), Arc::clone(context)).await
}

fn status(server: &ApiServer) -> Value {
    server.stored(REQUEST).unwrap()["status"].clone()
}

#[tokio::test]
async fn an_agent_gets_its_certificate_and_learns_whom_to_trust() {
    let server = server("n1");
    let context = at(&server);
    pass(&server, &context).await.unwrap();
    assert_eq!(status(&server)["conditions"][0]["type"], "Approved");
    assert!(status(&server)["certificate"].is_null());
    assert_eq!(server.stored(SECRET), None, "approved is not signed");
    pass(&server, &context).await.unwrap();
    let pem = STANDARD.decode(status(&server)["certificate"].as_str().unwrap());
    let found = certificates(&pem.unwrap()).unwrap();
    let authority = context.known.lock().await.clone().unwrap();
    let authority = certificates(authority.current.certificate().as_bytes()).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], authority[0]);
    let before = server.calls().len();
    pass(&server, &context).await.unwrap();
    assert_eq!(server.calls().len(), before, "it is over");
}

#[tokio::test]
async fn another_node_is_denied_whoever_approves_it() {
    let server = server("n2");
    let context = at(&server);
    pass(&server, &context).await.unwrap();
    assert_eq!(status(&server)["conditions"][0]["type"], "Denied");
    let message = status(&server)["conditions"][0]["message"].clone();
    assert!(message.as_str().unwrap().contains("node n2"), "{message}");
    let mut approved = server.stored(REQUEST).unwrap();
    approved["status"]["conditions"][0]["type"] = "Approved".into();
    server.put(REQUEST, approved);
    pass(&server, &context).await.unwrap();
    assert_eq!(status(&server)["conditions"][1]["type"], "Failed");
    assert!(status(&server)["certificate"].is_null());
    assert_eq!(server.stored(SECRET), None, "nothing was signed");
}

#[tokio::test]
async fn what_was_judged_on_an_older_state_is_not_written() {
    let server = server("n1");
    let request: CertificateSigningRequest =
        serde_json::from_value(server.stored(REQUEST).unwrap()).unwrap();
    let mut touched = server.stored(REQUEST).unwrap();
    touched["metadata"]["labels"]["a"] = "b".into();
    server.put(REQUEST, touched);
    let passed = reconcile(Arc::new(request), at(&server)).await;
    assert!(passed.unwrap_err().is_conflict());
}

#[tokio::test]
async fn an_authority_that_somebody_deletes_is_put_back_and_not_made_anew() {
    let server = server("n1");
    let context = at(&server);
    pass(&server, &context).await.unwrap();
    pass(&server, &context).await.unwrap();
    let first = server.stored(SECRET).unwrap()["data"].clone();
    server.remove(SECRET);
    let mut again = server.stored(REQUEST).unwrap();
    again["status"]["certificate"] = Value::Null;
    server.put(REQUEST, again);
    pass(&server, &context).await.unwrap();
    assert_eq!(server.stored(SECRET).unwrap()["data"], first);
}
