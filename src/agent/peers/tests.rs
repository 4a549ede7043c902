//! Two agents on loopback, over real TLS: what one asks, what the other answers, and what becomes of a state on its way.

mod ahead;
mod foretelling;
mod hostile;
mod lab;
mod liar;
mod spare;
mod transfer;
mod turns;

use super::way::Failure;
use crate::agent::api::TargetStanding;
use crate::agent::peers::identity::tests::{agent, authority};
use lab::{Lab, OPERATION};

#[tokio::test]
async fn the_five_questions_are_answered_on_one_connection() {
    let lab = Lab::new().await;
    let mut way = lab.way();
    assert!(way.ready(OPERATION, "u1", 2).await.unwrap());
    assert!(!way.ready(OPERATION, "u1", 3).await.unwrap());
    let before = way.standing(OPERATION).await.unwrap().released;
    assert!(before.pods.is_empty() && !before.anybody);
    way.release(OPERATION, Some("u1"), "sha256:1")
        .await
        .unwrap();
    way.release(OPERATION, Some("u1"), "sha256:1")
        .await
        .unwrap();
    let released = way.standing(OPERATION).await.unwrap().released;
    assert_eq!(released.pods[0], "u1");
    let pod = way.revoke(OPERATION, "u1").await.unwrap().unwrap();
    assert_eq!(
        (pod.uid.as_str(), pod.standing),
        ("u1", TargetStanding::Revoked)
    );
    assert_eq!(way.revoke(OPERATION, "nobody").await.unwrap(), None);
    let Failure::Refused(409, why) = way.release(OPERATION, None, "sha256:1").await.unwrap_err()
    else {
        panic!("it is refused");
    };
    assert!(why.contains("agent of node n2 refuses"), "{why}");
    assert_eq!(lab.connections(), 1);
}

#[tokio::test]
async fn only_the_source_that_an_order_names_is_answered() {
    let lab = Lab::new().await;
    let mut stranger = lab.way_of(&agent("n3", &lab.authority, &[&lab.authority]));
    for operation in [OPERATION, "unheard-of"] {
        let refused = stranger.standing(operation).await.unwrap_err();
        let Failure::Refused(403, why) = refused else {
            panic!("{refused}");
        };
        assert!(why.contains("node n3"), "{why}");
    }
    let refused = stranger.send(OPERATION, &lab.sealed()).await.unwrap_err();
    assert!(matches!(refused, Failure::Refused(403, _)), "{refused}");
    assert!(!lab.target("ns").exists(), "nothing was written");
    let mut way = lab.way();
    assert!(way.standing("unheard-of").await.is_err());
    assert!(way.standing(OPERATION).await.is_ok());
}

#[tokio::test]
async fn somebody_with_another_authority_is_not_spoken_with_on_either_side() {
    let lab = Lab::new().await;
    let other = authority();
    // It would believe us, and we do not believe it.
    let mut liar = lab.way_of(&agent("n1", &other, &[&other, &lab.authority]));
    let away = liar.standing(OPERATION).await.unwrap_err();
    assert!(matches!(away, Failure::Away(_)), "{away}");
    lab.target_doubts().await;
    // It does not believe us.
    let young = agent("n1", &other, &[&other]);
    let away = lab.way_of(&young).standing(OPERATION).await.unwrap_err();
    assert!(
        matches!(&away, Failure::Away(why) if why.contains("not reached")),
        "{away}"
    );
    young.doubted().await;
    assert_eq!(lab.asked(), 0);
}

#[tokio::test]
async fn in_a_roll_over_both_authorities_are_believed() {
    let lab = Lab::new().await;
    let next = authority();
    lab.target_believes(&next);
    let mut way = lab.way_of(&agent("n1", &next, &[&next, &lab.authority]));
    assert!(way.standing(OPERATION).await.is_ok());
}

#[tokio::test]
async fn who_answers_in_the_place_of_another_node_is_told_nothing() {
    let lab = Lab::new().await;
    let mut way = lab.way_to("n4");
    let away = way
        .release(OPERATION, Some("u1"), "sha256:1")
        .await
        .unwrap_err();
    assert!(
        matches!(&away, Failure::Away(why) if why.contains("node n4 is not reached")),
        "{away}"
    );
    assert_eq!(lab.asked(), 0);
}

#[tokio::test]
async fn who_is_not_there_is_away_and_a_closed_connection_is_made_anew() {
    let mut lab = Lab::new().await;
    let mut way = lab.way();
    way.standing(OPERATION).await.unwrap();
    lab.start_again().await;
    assert!(way.standing(OPERATION).await.is_ok(), "it came back");
    lab.stop().await;
    let away = way.standing(OPERATION).await.unwrap_err();
    assert!(matches!(away, Failure::Away(_)), "{away}");
}
