//! Who has a right certificate, and says what no agent says; and who has none.

use super::lab::{GENERATION, Lab, OPERATION};
use crate::agent::peers::identity::Trust;
use crate::webhook::tls::certificates;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What the target answers to these bytes of its source; nothing where it closes the connection.
pub(super) async fn told(lab: &Lab, trust: &Trust, bytes: &[u8]) -> String {
    let stream = TcpStream::connect(lab.address()).await.unwrap();
    let name = ServerName::try_from("n2.agents.holdfast.dev").unwrap();
    let connector = TlsConnector::from(Arc::clone(&trust.client));
    let mut stream = connector.connect(name, stream).await.unwrap();
    // It may close before it has heard all.
    let _heard = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer);
        let is_whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap())
        });
        if is_whole {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: n2\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

pub(super) fn files(pieces: &[&[u8]]) -> Vec<u8> {
    let line = format!(r#"{{"operation":"{OPERATION}","generation":"{GENERATION}"}}"#);
    let all = [&[line.as_bytes(), b"\n"][..], pieces].concat().concat();
    post("/v1/files", &all)
}

pub(super) fn piece(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind][..], &length, &length, content].concat()
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_refused() {
    let lab = Lab::new().await;
    let trust = lab.source.trust().unwrap();
    for path in [
        "../../../x",
        "/x",
        "a/../../x",
        "manifest.json",
        ".x",
        "a//x",
        "\\u0000x",
    ] {
        let note = format!(r#"{{"path":"{path}","offset":0}}"#);
        let answer = told(
            &lab,
            &trust,
            &files(&[&piece(2, note.as_bytes()), &piece(0, b"x")]),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
    }
    let found: Vec<_> = std::fs::read_dir(lab.folder.path()).unwrap().collect();
    assert!(found.is_empty(), "nothing was written: {found:?}");
}

#[tokio::test]
async fn a_generation_or_a_pod_that_no_folder_can_have_is_refused() {
    let lab = Lab::new().await;
    let trust = lab.source.trust().unwrap();
    for generation in ["..", "../x", "", "g/../../x"] {
        let body = format!(r#"{{"operation":"{OPERATION}","generation":"{generation}"}}"#);
        let answer = told(&lab, &trust, &post("/v1/held", body.as_bytes())).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{generation}: {answer}");
    }
}

#[tokio::test]
async fn what_no_agent_says_is_refused_and_others_are_answered() {
    let lab = Lab::new().await;
    let trust = lab.source.trust().unwrap();
    let note = br#"{"path":"a","offset":0}"#;
    let long = vec![b'a'; 100_000];
    for (asked, code) in [
        (files(&[&piece(0, b"x")]), "403"),
        (files(&[&piece(9, b"x")]), "403"),
        (
            files(&[&piece(2, note), &[1, 0, 16, 0, 1, 0, 0, 0, 1, 0]]),
            "403",
        ),
        (files(&[&piece(2, note), &[0, 0]]), "403"),
        (files(&[&piece(2, br#"{"path":"a","offset":7}"#)]), "409"),
        (post("/v1/files", &long), "413"),
        (post("/v1/ready", &long), "413"),
        (post("/v1/ready", b"{}"), "403"),
        (post("/v1/nothing", b"{}"), "404"),
        (
            b"GET /v1/ready HTTP/1.1\r\nhost: n2\r\n\r\n".to_vec(),
            "405",
        ),
        (b"nonsense\r\n\r\n".to_vec(), "400"),
        (
            [b"POST /v1/ready HTTP/1.1\r\nx: ", &long[..], b"\r\n\r\n"].concat(),
            "431",
        ),
    ] {
        let answer = told(&lab, &trust, &asked).await;
        let begin = String::from_utf8_lossy(&asked[..asked.len().min(60)]).into_owned();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {code}")),
            "{begin}: {answer}"
        );
        assert!(lab.way().standing(OPERATION).await.is_ok());
    }
}

#[tokio::test]
async fn without_a_certificate_nobody_is_answered() {
    let lab = Lab::new().await;
    let trust = lab.source.trust().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let authority = certificates(lab.authority.certificate().as_bytes()).unwrap();
    roots.add(authority[0].clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let bare = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let bare = Trust {
        server: Arc::clone(&trust.server),
        client: Arc::new(bare),
        validity: trust.validity,
    };
    let asked = post("/v1/standing", br#"{"operation":"op"}"#);
    assert_eq!(told(&lab, &bare, &asked).await, "");
    assert_eq!(lab.asked(), 0);
    assert!(told(&lab, &trust, &asked).await.starts_with("HTTP/1.1 200"));
}
