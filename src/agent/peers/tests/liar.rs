//! A receiver that has the certificate of node `n2`, and lies.

use super::lab::{GENERATION, Lab, OPERATION};
use crate::agent::peers::identity::tests::agent;
use crate::agent::peers::sending::{Begun, Shipment};
use crate::agent::peers::way::{Failure, Way};
use serde_json::{Value, json};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The way to one who answers each question at once with what stands here for its path. Of a body without a length it reads nothing.
async fn liar(lab: &Lab, answers: Value) -> Way {
    let trust = agent("n2", &lab.authority, &[&lab.authority])
        .trust()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = TlsAcceptor::from(Arc::clone(&trust.server));
            let answers = answers.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                while let Some(path) = heard(&mut stream).await {
                    let text = answers[&path].to_string();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
                    let answer = [head, text].concat();
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                    if path == "/v1/files" {
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
    });
    Way::new(Arc::clone(&lab.source), Arc::default(), ("n2", address))
}

/// The path of the next question.
async fn heard(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let length = lines
        .clone()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    let path = lines.next()?.split(' ').nth(1)?;
    Some(path.to_owned())
}

#[tokio::test]
async fn what_is_verified_there_must_be_what_is_here() {
    let lab = Lab::new().await;
    let (_, manifest, _) = lab.sealed().sealed().unwrap();
    let verified = json!({ "/v1/held": { "verified": "sha256:other" } });
    let ended = json!({ "/v1/held": { "files": manifest.files }, "/v1/end": { "verified": "sha256:other" } });
    for answers in [verified, ended] {
        let failed = liar(&lab, answers)
            .await
            .send(OPERATION, &lab.sealed())
            .await;
        let Err(Failure::Ours(why)) = failed else {
            panic!("{failed:?}");
        };
        assert!(why.contains("n2") && why.contains("sha256:other"), "{why}");
    }
}

#[tokio::test]
async fn files_that_the_manifest_does_not_know_are_not_sent_because_somebody_asks_for_them() {
    let lab = Lab::new().await;
    let (folder, manifest, _) = lab.sealed().sealed().unwrap();
    std::fs::write(folder.join("other"), b"not of the state").unwrap();
    let answers = json!({ "/v1/held": { "files": manifest.files }, "/v1/end": { "wrong": ["other", "/etc/passwd"] } });
    let failed = liar(&lab, answers)
        .await
        .send(OPERATION, &lab.sealed())
        .await;
    let Err(Failure::Ours(why)) = failed else {
        panic!("{failed:?}");
    };
    assert!(why.contains("does not have"), "{why}");
}

#[tokio::test]
async fn who_answers_early_and_takes_nothing_more_holds_nobody_up() {
    let lab = Lab::new().await;
    let folder = lab.folder.path().join("large");
    std::fs::create_dir_all(&folder).unwrap();
    // What does not get smaller, and more than the kernel and we take in.
    let mut noise = vec![0; 48 << 20];
    let mut random = std::fs::File::open("/dev/urandom").unwrap();
    random.read_exact(&mut noise).unwrap();
    std::fs::write(folder.join("pages-1.img"), noise).unwrap();
    let mut way = liar(&lab, json!({ "/v1/held": {}, "/v1/files": { "bytes": 0 } })).await;
    let begun = Shipment::begin(&mut way, OPERATION, GENERATION, folder).await;
    let Begun::Shipment(mut shipment) = begun.unwrap() else {
        panic!("nothing is there");
    };
    let files = ["pages-1.img".to_owned()];
    let carried = shipment.carry(&mut way, &files);
    let carried = tokio::time::timeout(Duration::from_secs(60), carried).await;
    let failed = carried.expect("it ends").unwrap_err();
    assert!(
        matches!(&failed, Failure::Away(why) if why.contains("before it had heard all")),
        "{failed}"
    );
}
