//! The way between the nodes is cut, before the release and at it.

use crate::fixture::{OPERATION, eventually};
use crate::handing_over::{allowed, run};
use crate::lab::inside;
use crate::leader::{is_over, is_void, pod, until};
use holdfast::agent::api::{SourceStanding, TargetStanding};
use holdfast::hold::record::HoldState;
use holdfast::migration::api::Outcome;

#[test]
fn before_the_release_the_source_comes_back_by_itself() {
    inside(
        "cut_off::before_the_release_the_source_comes_back_by_itself",
        || {
            run(async {
                let (source, target, mut leader, mut waiting) = allowed().await;
                // It says that it is ready, and no more.
                target.agent.answers(1);
                let cut = source.agent.work(OPERATION, &target.agent).await;
                assert!(cut.unwrap_err().contains("the way there is cut"));
                let record = source.agent.record("uid-a").await.unwrap().unwrap();
                assert_eq!(record.hold.unwrap().state, HoldState::Frozen);
                leader.decide(Outcome::RolledBack);
                leader.tell(&source, &target);
                let stands = is_over(&source, &target).await;
                let standing = stands.source.map(|report| report.standing);
                assert_eq!(standing, Some(SourceStanding::Withdrawn));
                source.counts_on();
                is_void(&target, &source).await;
                assert!(!waiting.wait().unwrap().success());
            });
        },
    );
}

#[test]
fn a_release_that_did_not_come_is_sent_again_and_nothing_runs_until_then() {
    let name = "cut_off::a_release_that_did_not_come_is_sent_again_and_nothing_runs_until_then";
    inside(name, || {
        run(async {
            let (source, target, leader, mut waiting) = allowed().await;
            // It says that it is ready, how it stands, and takes the state.
            target.agent.answers(3);
            let cut = source.agent.work(OPERATION, &target.agent).await;
            assert!(cut.unwrap_err().contains("the way there is cut"));
            let last = source.counts().len();
            let record = source.agent.record("uid-a").await.unwrap().unwrap();
            assert_eq!(record.hold.unwrap().state, HoldState::Released);
            let stands = target.agent.work(OPERATION, &source.agent).await.unwrap();
            assert_eq!(pod(&stands), Some(TargetStanding::Waiting), "{stands:?}");
            assert!(stands.target.unwrap().is_verified);
            target.agent.answers(usize::MAX);
            source.agent.work(OPERATION, &target.agent).await.unwrap();
            let restored = until(&target, &source, "it is restored", |stands| {
                pod(stands) == Some(TargetStanding::Restored)
            });
            restored.await;
            assert!(waiting.wait().unwrap().success(), "{}", target.logged("c2"));
            eventually("it counts on", || target.counts().len() > last);
            assert_eq!(source.counts().len(), last, "it runs in two places");
            drop(leader);
        });
    });
}
