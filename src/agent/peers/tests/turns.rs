//! Whose turn it is to write, for how long, and whether there is room.

use super::hostile::{files, piece, told};
use super::lab::{GENERATION, Lab, OPERATION};
use crate::agent::peers::desk::Expected;
use crate::agent::peers::receiving::Receiving;
use crate::agent::peers::way::Failure;
use crate::testkit::folder::Folder;

#[tokio::test]
async fn what_is_withdrawn_while_a_question_waits_for_its_turn_is_not_written() {
    let lab = Lab::new().await;
    *lab.records.withdrawn_after.lock().unwrap() = Some(1);
    let trust = lab.source.trust().unwrap();
    let whole = files(&[&piece(2, br#"{"path":"a","offset":0}"#), &piece(0, b"x")]);
    let answer = told(&lab, &trust, &whole).await;
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    assert!(answer.contains("not wanted any more"), "{answer}");
    assert!(!lab.target("ns").exists(), "nothing was written");
}

#[tokio::test]
async fn what_is_withdrawn_while_it_comes_is_not_waited_for() {
    let lab = Lab::new().await;
    *lab.records.withdrawn_after.lock().unwrap() = Some(2);
    let trust = lab.source.trust().unwrap();
    let mut half = files(&[&piece(2, br#"{"path":"a","offset":0}"#), &piece(0, b"x")]);
    half.truncate(half.len() - 1);
    let answer = told(&lab, &trust, &half).await;
    assert!(answer.contains("not wanted any more"), "{answer}");
}

#[tokio::test]
async fn a_question_waits_a_moment_for_its_turn() {
    let folder = Folder::new();
    let receiving = Receiving::new(folder.path().to_owned(), 0);
    let expected = || Expected {
        namespace: "ns".into(),
        uid: "u1".into(),
        digest: None,
        at_most: None,
    };
    let turn = receiving.turn(expected(), "g").unwrap();
    assert!(receiving.turn(expected(), "g").is_err());
    let second = receiving.turn_soon(expected(), "g");
    let (second, ()) = tokio::join!(second, async { drop(turn) });
    assert!(second.is_ok());
    tokio::time::pause();
    assert!(receiving.turn_soon(expected(), "g").await.is_err());
}

#[tokio::test]
async fn without_room_nothing_is_begun() {
    let mut lab = Lab::new().await;
    lab.reserve = 100;
    lab.start_again().await;
    let refused = lab.way().send(OPERATION, &lab.sealed()).await.unwrap_err();
    assert!(
        matches!(&refused, Failure::Refused(507, why) if why.contains("no room")),
        "{refused}"
    );
    assert!(
        !lab.target("ns/u1")
            .join(format!("{GENERATION}.incoming"))
            .exists()
    );
}

#[tokio::test]
async fn a_state_that_is_not_the_expected_one_is_not_called_verified() {
    let lab = Lab::new().await;
    let mut way = lab.way();
    way.send(OPERATION, &lab.sealed()).await.unwrap();
    *lab.records.digest.lock().unwrap() = Some("sha256:other".into());
    let refused = way.send(OPERATION, &lab.sealed()).await.unwrap_err();
    assert!(
        matches!(&refused, Failure::Refused(403, why) if why.contains("sha256:other")),
        "{refused}"
    );
}
