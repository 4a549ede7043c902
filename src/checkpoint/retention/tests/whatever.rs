//! Whatever there is: what goes has one that stays.

use super::*;
use proptest::prelude::*;

fn any_checkpoint() -> impl Strategy<Value = Checkpoint> {
    let spec = (any::<bool>(), proptest::option::of(1..50_u32), 0..2_u32);
    let place = (
        0..3_u8,
        0..3_u8,
        prop_oneof![Just(i64::MIN), Just(i64::MAX), 0..5 * GI],
    );
    let phase = prop_oneof![4 => Just(Phase::Succeeded), 1 => Just(Phase::Lost), 1 => Just(Phase::Asked), 1 => Just(Phase::Failed)];
    let state = (phase, 0..50_i64, 0..50_i64, any::<bool>(), any::<bool>());
    (spec, place, state).prop_map(|(spec, place, state)| {
        let (is_pinned, ttl, copies) = spec;
        let (pod, node, bytes) = place;
        let (phase, made_at, taken_at, is_going, is_copied) = state;
        let one = made("c", made_at);
        let one = copied(one, if is_copied { "True" } else { "False" });
        let one = lies(one, &json!([on(&format!("n{node}"), bytes)]));
        changed(one, |one| {
            one.spec.pinned = is_pinned;
            one.spec.ttl_seconds = ttl;
            one.spec.copies = copies;
            one.metadata.deletion_timestamp = is_going.then_some(Time(Timestamp::UNIX_EPOCH));
            let status = status(one);
            status.phase = phase;
            status.pod_uid = Some(format!("pod-{pod}"));
            status.taken_at = Some(Time(Timestamp::from_second(taken_at).unwrap()));
        })
    })
}

proptest! {
    /// Whatever there is and whoever lies: what goes was free to go, and has one that stays, is newer, can be used, and lasts.
    #[test]
    fn whatever_goes_has_one_that_stays(all in proptest::collection::vec(any_checkpoint(), 0..14), generations in 0..3_u32, gi in 0..6_i64) {
        let all: Vec<_> = all.into_iter().enumerate().map(|(at, one)| {
            changed(one, |one| {
                one.metadata.name = Some(format!("c{at:02}"));
                one.metadata.uid = Some(format!("uid-{at}"));
            })
        }).collect();
        let gone = names(all.clone(), limits(generations, gi));
        for name in &gone {
            let one = all.iter().find(|one| one.name_any() == *name).unwrap();
            prop_assert!(!one.spec.pinned && one.metadata.deletion_timestamp.is_none());
            let shelters = |other: &&Checkpoint| {
                let known = other.status.as_ref().unwrap();
                let is_newer = other.metadata.creation_timestamp >= one.metadata.creation_timestamp;
                let is_whole = other.spec.copies == 0 || is_settled(known);
                let lasts = ends(other).is_none_or(|end| ends(one).is_some_and(|other| end >= other));
                known.pod_uid == one.status.as_ref().unwrap().pod_uid && other.name_any() != *name
                    && !gone.contains(&other.name_any()) && other.metadata.deletion_timestamp.is_none()
                    && known.phase == Phase::Succeeded && is_newer && is_whole && lasts
            };
            prop_assert!(all.iter().any(|other| shelters(&other)), "{name} of {gone:?}");
        }
        // A leader that dies after each deletion, and the next one, come to the same.
        let mut left = all;
        let mut one_by_one = Vec::new();
        while let Some(name) = names(left.clone(), limits(generations, gi)).first() {
            one_by_one.push(name.clone());
            left.retain(|one| one.name_any() != *name);
        }
        one_by_one.sort();
        let mut at_once = gone;
        at_once.sort();
        prop_assert_eq!(one_by_one, at_once);
    }
}
