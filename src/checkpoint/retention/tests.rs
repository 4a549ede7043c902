//! What goes, what stays, and what would have to go.

mod whatever;

use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

const GI: i64 = 1 << 30;

/// A Checkpoint of pod `web` that was made in this second; it lies on node `n1` with a Gi.
fn made(name: &str, second: i64) -> Checkpoint {
    let time = Timestamp::from_second(second).unwrap().to_string();
    let checkpoint = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "Checkpoint",
        "metadata": { "name": name, "namespace": "apps", "uid": format!("uid-{name}"), "creationTimestamp": time },
        "spec": { "podName": "web" },
        "status": { "phase": "Succeeded", "podUid": "web", "node": "n1", "takenAt": time, "bytes": GI, "locations": [on("n1", GI)] },
    });
    serde_json::from_value(checkpoint).unwrap()
}

fn on(node: &str, bytes: i64) -> Value {
    json!({ "node": node, "path": "/x", "digest": "d", "bytes": bytes })
}

fn changed(mut checkpoint: Checkpoint, change: impl FnOnce(&mut Checkpoint)) -> Checkpoint {
    change(&mut checkpoint);
    checkpoint
}

fn pinned(checkpoint: Checkpoint) -> Checkpoint {
    changed(checkpoint, |one| one.spec.pinned = true)
}

fn status(checkpoint: &mut Checkpoint) -> &mut CheckpointStatus {
    checkpoint.status.as_mut().unwrap()
}

fn lies(checkpoint: Checkpoint, locations: &Value) -> Checkpoint {
    changed(checkpoint, |one| {
        status(one).locations = serde_json::from_value(locations.clone()).unwrap();
    })
}

/// So many copies are wanted, and `Copied` is this.
fn copied(checkpoint: Checkpoint, is_copied: &str) -> Checkpoint {
    changed(checkpoint, |one| {
        one.spec.copies = 1;
        let condition = json!({
            "type": "Copied", "status": is_copied, "reason": "x", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        status(one).conditions = vec![serde_json::from_value(condition).unwrap()];
    })
}

fn shared(all: Vec<Checkpoint>) -> Vec<Arc<Checkpoint>> {
    all.into_iter().map(Arc::new).collect()
}

fn limits(keep_generations: u32, gi: i64) -> KeepFlags {
    KeepFlags {
        keep_generations,
        keep_bytes: gi.checked_mul(GI).unwrap(),
    }
}

fn goes(all: Vec<Checkpoint>, limits: KeepFlags) -> Vec<(String, &'static str)> {
    let all = shared(all);
    let removals = plan(&Store {
        all: &all,
        nodes: None,
        limits,
    });
    let told = removals.iter();
    told.map(|one| (one.checkpoint.name_any(), one.notice.reason))
        .collect()
}

fn names(all: Vec<Checkpoint>, limits: KeepFlags) -> Vec<String> {
    let gone = goes(all, limits).into_iter();
    gone.map(|(name, _)| name).collect()
}

#[test]
fn of_a_pod_the_newest_are_kept() {
    let four = || (1..=4).map(|at| made(&format!("c{at}"), at)).collect();
    let gone = goes(four(), limits(2, 0));
    assert_eq!(
        gone,
        [
            ("c1".into(), reasons::SUPERSEDED),
            ("c2".into(), reasons::SUPERSEDED)
        ]
    );
    assert!(
        names(four(), limits(0, 0)).is_empty(),
        "nobody has set a limit"
    );
    assert!(names(four(), limits(4, 0)).is_empty());
    let all = shared(four());
    let store = Store {
        all: &all,
        nodes: None,
        limits: limits(2, 0),
    };
    let note = plan(&store)[0].notice.note.clone();
    assert_eq!(note, "of pod web the newest 2 are kept: c4, c3");
}

#[test]
fn pods_namespaces_and_workloads_are_counted_each_for_itself() {
    let other = changed(made("other", 2), |one| {
        status(one).pod_uid = Some("another".into());
    });
    let elsewhere = changed(made("elsewhere", 3), |one| {
        one.metadata.namespace = Some("others".into());
    });
    assert!(names(vec![made("c", 1), other, elsewhere], limits(1, 0)).is_empty());
    // A StatefulSet's pod has another uid when it was made anew.
    let of_set = |name: &str, second, uid: &str| {
        changed(made(name, second), |one| {
            status(one).pod_uid = Some(uid.into());
            status(one).slot = Some("set/web-0".into());
        })
    };
    let two = vec![of_set("former", 1, "a"), of_set("now", 2, "b")];
    assert_eq!(names(two, limits(1, 0)), ["former"]);
}

#[test]
fn what_is_pinned_stays_and_is_not_counted() {
    let all = vec![
        pinned(made("c1", 1)),
        made("c2", 2),
        pinned(made("c3", 3)),
        made("c4", 4),
    ];
    assert!(names(all.clone(), limits(2, 0)).is_empty());
    assert_eq!(names(all.clone(), limits(1, 0)), ["c2"]);
    // A budget drives out what has a newer one, pinned or not, and never what is pinned.
    assert_eq!(names(all, limits(0, 1)), ["c2"]);
}

#[test]
fn an_old_one_stays_until_a_newer_one_has_its_copies() {
    let under_way = |is_copied| vec![made("old", 1), copied(made("new", 2), is_copied)];
    assert!(names(under_way("False"), limits(1, 1)).is_empty());
    assert_eq!(names(under_way("True"), limits(1, 0)), ["old"]);
    // And what is being sent goes never, however old it is.
    let sent = vec![copied(made("sent", 1), "False"), made("new", 2)];
    assert!(names(sent.clone(), limits(1, 1)).is_empty());
    // Its own node is gone: nobody sends it any more.
    let left = lies(sent[0].clone(), &json!([on("n2", GI)]));
    assert_eq!(names(vec![left, sent[1].clone()], limits(1, 0)), ["sent"]);
}

#[test]
fn what_cannot_be_used_stands_for_nothing() {
    for phase in [
        Phase::Pending,
        Phase::Asked,
        Phase::Frozen,
        Phase::Dumped,
        Phase::Failed,
        Phase::Lost,
        Phase::Unknown,
    ] {
        let new = changed(made("new", 2), |one| status(one).phase = phase);
        assert!(
            names(vec![made("old", 1), new], limits(1, 1)).is_empty(),
            "{phase:?}"
        );
        let old = changed(made("old", 1), |one| status(one).phase = phase);
        let gone = names(vec![old, made("new", 2)], limits(1, 0));
        let is_nothing_left_of_it = phase == Phase::Lost;
        assert_eq!(gone.len(), usize::from(is_nothing_left_of_it), "{phase:?}");
    }
    let going = changed(made("new", 2), |one| {
        one.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    });
    assert!(names(vec![made("old", 1), going.clone()], limits(1, 1)).is_empty());
    assert!(
        names(
            vec![
                changed(going, |one| one.metadata.creation_timestamp = None),
                made("new", 2)
            ],
            limits(1, 1)
        )
        .is_empty()
    );
    // Its node's object is gone, and nobody has noticed yet.
    let all = shared(vec![
        made("old", 1),
        lies(made("new", 2), &json!([on("n9", 1)])),
    ]);
    let nodes = BTreeSet::from(["n1".to_owned()]);
    let store = Store {
        all: &all,
        nodes: Some(&nodes),
        limits: limits(1, 1),
    };
    assert!(plan(&store).is_empty());
}

#[test]
fn what_ends_sooner_stands_for_nothing_that_lasts() {
    let ending = |name: &str, second, ttl| {
        changed(made(name, second), |one| one.spec.ttl_seconds = Some(ttl))
    };
    let hourly = vec![ending("daily", 1, 1000), ending("hourly", 2, 10)];
    assert!(names(hourly, limits(1, 1)).is_empty());
    assert!(
        names(
            vec![made("lasts", 1), ending("ends", 2, 1000)],
            limits(1, 1)
        )
        .is_empty()
    );
    let same = vec![ending("a", 1, 10), ending("b", 2, 10)];
    assert_eq!(names(same, limits(1, 0)), ["a"]);
}

#[test]
fn a_nodes_clock_makes_nothing_newer() {
    // What was taken last says that it was taken first, and the other way round.
    let skewed = |name: &str, made_at, taken_at| {
        changed(made(name, made_at), |one| {
            status(one).taken_at = Some(Time(Timestamp::from_second(taken_at).unwrap()));
        })
    };
    let two = vec![skewed("old", 10, 9_999), skewed("new", 20, 1)];
    assert_eq!(names(two, limits(1, 0)), ["old"]);
    let same_second = vec![skewed("b", 10, 2), skewed("a", 10, 3)];
    assert_eq!(names(same_second, limits(1, 0)), ["b"]);
}

#[test]
fn what_is_too_much_on_a_node_goes_oldest_first_until_it_is_enough() {
    let four = || -> Vec<_> { (1..=4).map(|at| made(&format!("c{at}"), at)).collect() };
    assert_eq!(
        goes(four(), limits(0, 2)),
        [
            ("c1".into(), reasons::OVER_BUDGET),
            ("c2".into(), reasons::OVER_BUDGET)
        ]
    );
    assert!(names(four(), limits(0, 4)).is_empty());
    assert_eq!(
        names(
            four(),
            KeepFlags {
                keep_bytes: 1,
                ..KeepFlags::default()
            }
        ),
        ["c1", "c2", "c3"],
        "the newest stays"
    );
    // What is going already makes room.
    let mut going = four();
    going[0].metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    assert_eq!(names(going, limits(0, 2)), ["c2"]);
    // What is not on that node makes none.
    let mut elsewhere = four();
    elsewhere[0] = lies(elsewhere[0].clone(), &json!([on("n2", GI)]));
    assert_eq!(names(elsewhere, limits(0, 2)), ["c2"]);
    // A copy takes room too, and goes with its Checkpoint; what goes for the count is counted first.
    let mut copies = four();
    copies[1] = lies(copies[1].clone(), &json!([on("n1", GI), on("n2", 9 * GI)]));
    assert_eq!(names(copies, limits(0, 4)), ["c2"]);
    assert_eq!(
        goes(four(), limits(3, 2)),
        [
            ("c1".into(), reasons::SUPERSEDED),
            ("c2".into(), reasons::OVER_BUDGET)
        ]
    );
}

#[test]
fn a_node_that_lies_about_sizes_drives_out_nothing_elsewhere() {
    // It says that what it took is as large as can be; the node that has a copy says how much that is.
    let liar = changed(made("liars", 1), |one| {
        let status = status(one);
        status.pod_uid = Some("liars".into());
        status.node = Some("n9".into());
        status.bytes = Some(i64::MAX);
    });
    let liar = lies(liar, &json!([on("n9", i64::MAX), on("n1", 1)]));
    let two = || vec![made("c1", 2), made("c2", 3)];
    let all = [vec![liar.clone()], two()].concat();
    assert!(names(all, limits(0, 4)).is_empty());
    // Less than nothing makes no room for others, and sums do not wrap.
    let less = lies(made("less", 1), &json!([on("n1", i64::MIN)]));
    assert_eq!(names([vec![less], two()].concat(), limits(0, 1)), ["c1"]);
    let more = lies(liar, &json!([on("n1", i64::MAX)]));
    let again = |name: &str, second| {
        changed(more.clone(), |one| {
            one.metadata.name = Some(name.into());
            one.metadata.uid = Some(name.into());
            one.metadata.creation_timestamp = made(name, second).metadata.creation_timestamp;
        })
    };
    // Two such are twice as much, not as much: both go that have a newer one.
    let newest = lies(again("newest", 9), &json!([on("n2", 1)]));
    let all = vec![again("one", 1), again("two", 2), newest];
    assert_eq!(names([all, two()].concat(), limits(0, 2)), ["one", "two"]);
}

#[test]
fn room_is_what_is_left_beside_what_nothing_replaces() {
    let all = shared(vec![
        made("old", 1),
        made("new", 2),
        lies(pinned(made("kept", 3)), &json!([on("n1", 3 * GI)])),
        changed(made("theirs", 4), |one| {
            one.metadata.namespace = Some("others".into());
        }),
        lies(made("elsewhere", 5), &json!([on("n2", GI)])),
    ]);
    let store = |limits| Store {
        all: &all,
        nodes: None,
        limits,
    };
    assert_eq!(room(&store(limits(1, 0)), "n1", "apps"), None);
    let left = room(&store(limits(0, 10)), "n1", "apps").unwrap();
    assert_eq!(left.bytes, 10 * GI - 3 * GI - GI);
    assert!(left.why.contains("kept (3.0Gi, pinned)"), "{}", left.why);
    assert!(
        left.why.contains("1 of other namespaces (1.0Gi)"),
        "{}",
        left.why
    );
    assert!(!left.why.contains("theirs"), "{}", left.why);
    assert_eq!(room(&store(limits(0, 2)), "n1", "apps").unwrap().bytes, 0);
    assert_eq!(
        room(&store(limits(0, 2)), "n3", "apps").unwrap().bytes,
        2 * GI
    );
}
