use super::*;
use crate::sizing::observed::scene::{amounts, container, crew, pod, template};
use serde_json::{Value, json};
use std::sync::Arc;

/// A share of 1 CPU and 10Gi.
fn tenth() -> Value {
    json!({ "cpuPercentage": 10, "memoryPercentage": 10 })
}

fn stands(spec: Value, own: &str, pod: Seen) -> Standing {
    let crew = crew("d", own).pods(vec![pod], "1");
    template(spec).crew(crew).only()
}

fn word(standing: &Standing) -> &'static str {
    standing.why.as_ref().map_or("", |why| why.reason)
}

const SHARE: &str = "cpu=1 memory=10Gi";
const HALF: &str = "cpu=500m memory=5Gi";
/// What QoS class has a pod of this share with a smaller request.
const BURSTABLE: &str = "cpu=500m memory=5Gi/cpu=2 memory=20Gi";

#[test]
fn the_table() {
    use State::{Sized, Stale, Unsized};
    // (what the pod template states, what the pod has, was it sized, how it stands, must it be made anew, is it resized, why)
    for (own, now, was_sized, state, needs, resizes, why) in [
        (HALF, SHARE, true, Sized, false, false, ""),
        (HALF, SHARE, false, Sized, false, false, ""),
        (HALF, HALF, true, Stale, false, true, ""),
        (HALF, HALF, false, Unsized, false, true, ""),
        ("", "", false, Unsized, true, false, reasons::QOS_CLASS),
        (
            "cpu=1",
            "cpu=1",
            false,
            Unsized,
            true,
            false,
            reasons::QOS_CLASS,
        ),
        (
            BURSTABLE,
            BURSTABLE,
            false,
            Unsized,
            true,
            false,
            reasons::QOS_CLASS,
        ),
        // It was resized since it was made.
        (HALF, "cpu=900m memory=9Gi", false, Stale, false, true, ""),
        // What the DaemonSet does not state is from a LimitRange.
        ("", HALF, false, Unsized, false, true, ""),
        // Less than a hundredth is not worth it, for one that was sized.
        (HALF, "cpu=996m memory=10Gi", true, Sized, false, false, ""),
        (HALF, "cpu=996m memory=10Gi", false, Sized, false, false, ""),
        ("", "cpu=996m memory=10Gi", false, Unsized, false, true, ""),
        (HALF, "cpu=990m memory=10Gi", true, Stale, false, true, ""),
    ] {
        let mut pod = pod(1, now);
        if was_sized {
            pod = pod.sized();
        }
        let standing = stands(tenth(), own, pod);
        let is_resized = matches!(standing.course, Course::Resize { .. });
        assert_eq!(
            (
                standing.state,
                standing.needs_recreate,
                is_resized,
                word(&standing)
            ),
            (state, needs, resizes, why),
            "{own} {now} {was_sized}"
        );
    }
}

#[test]
fn what_is_left_alone_says_why() {
    use State::{Sized, Unsized};
    let mut excluded = crew("d", HALF).pods(vec![pod(1, HALF).sized()], "1");
    excluded.exclusion = Some("because of a label".into());
    let standing = template(tenth()).crew(excluded).only();
    assert_eq!(
        (standing.state, word(&standing), &standing.course),
        (Unsized, reasons::NAMESPACE_EXCLUDED, &Course::Nothing)
    );
    let unknown = || {
        let mut pod = pod(1, HALF);
        pod.place = None;
        pod
    };
    let older = || pod(1, HALF).with(|view| view.template_generation = Some(0));
    let with_own = || pod(1, HALF).with(|view| view.has_pod_resources = true);
    let unusable = json!({ "minCPU": "-1" });
    for (spec, pod, state, why) in [
        (tenth(), with_own(), Unsized, reasons::POD_RESOURCES),
        (tenth(), with_own().sized(), Unsized, reasons::POD_RESOURCES),
        (tenth(), unknown(), Unsized, reasons::NODE_UNKNOWN),
        (tenth(), unknown().sized(), Sized, ""),
        (tenth(), older(), Unsized, reasons::ROLLING_OUT),
        (tenth(), older().sized(), Sized, ""),
        (
            unusable.clone(),
            pod(1, HALF),
            Unsized,
            reasons::TEMPLATE_UNUSABLE,
        ),
        (unusable, pod(1, HALF).sized(), Sized, ""),
    ] {
        let standing = stands(spec, HALF, pod);
        assert_eq!((standing.state, word(&standing)), (state, why));
        assert_eq!(standing.course, Course::Nothing);
    }
}

#[test]
fn remedies_are_those_of_the_template() {
    let with = |repair: &str, on_change: &str| {
        let mut spec = tenth();
        spec["repair"] = json!(repair);
        spec["onChange"] = json!(on_change);
        spec
    };
    let is_resize = |course: &Course| matches!(course, Course::Resize { .. });
    let (fresh, stale) = (|| pod(1, HALF), || pod(1, HALF).sized());
    let kept = stands(with("Keep", "Resize"), HALF, fresh());
    assert_eq!(
        (word(&kept), &kept.course),
        (reasons::KEPT, &Course::Nothing)
    );
    assert!(is_resize(
        &stands(with("Keep", "Resize"), HALF, stale()).course
    ));
    let kept = stands(with("Resize", "Keep"), HALF, stale());
    assert_eq!(
        (word(&kept), &kept.course),
        (reasons::KEPT, &Course::Nothing)
    );
    assert!(kept.why.unwrap().message.contains("onChange"));
    // In place where that can be done, even where pods may be deleted.
    assert!(is_resize(
        &stands(with("Recreate", "Keep"), HALF, fresh()).course
    ));
    let best_effort = stands(with("Recreate", "Keep"), "", pod(1, ""));
    assert_eq!(best_effort.course, Course::Recreate);
    let best_effort = stands(with("Resize", "Recreate"), "", pod(1, ""));
    assert_eq!(best_effort.course, Course::Nothing);
}

#[test]
fn storage_needs_a_new_pod_but_keeps_nothing_else_from_its_share() {
    let mut spec = tenth();
    spec["storagePercentage"] = json!(10);
    spec["onChange"] = json!("Recreate");
    let half = "cpu=500m memory=5Gi storage=50Gi";
    let both = stands(spec.clone(), half, pod(1, half).sized());
    assert!(both.needs_recreate && matches!(both.course, Course::Resize { .. }));
    let rest = pod(1, "cpu=1 memory=10Gi storage=50Gi").sized();
    let storage = stands(spec.clone(), half, rest);
    assert_eq!(
        (word(&storage), &storage.course),
        (reasons::STORAGE, &Course::Recreate)
    );
    // Less than a hundredth of it is not worth a new pod.
    for (now, state) in [("102Gi", State::Stale), ("102000Mi", State::Sized)] {
        let nearly = pod(1, &format!("cpu=1 memory=10Gi storage={now}")).sized();
        let standing = stands(spec.clone(), half, nearly);
        assert_eq!(standing.state, state, "{now}");
    }
}

#[test]
fn what_the_kubelet_says_of_an_open_resize_is_told() {
    let why = || Arc::<str>::from("no room");
    for (resize, is_resizing, needs, reason) in [
        (Resize::InProgress, true, false, ""),
        (Resize::Deferred(why()), true, false, reasons::DEFERRED),
        (Resize::Failed(why()), true, false, reasons::RESIZE_FAILED),
        (Resize::Infeasible(why()), false, true, reasons::INFEASIBLE),
    ] {
        let standing = stands(tenth(), HALF, pod(1, SHARE).sized().resize(resize.clone()));
        assert_eq!(standing.state, State::Stale, "{resize:?}");
        assert_eq!(
            (
                standing.is_resizing,
                standing.needs_recreate,
                word(&standing)
            ),
            (is_resizing, needs, reason)
        );
        assert_eq!(standing.course, Course::Nothing);
        // Something else is wanted now: that may be what is possible.
        let changed = stands(
            tenth(),
            HALF,
            pod(1, "cpu=2 memory=20Gi").sized().resize(resize),
        );
        assert!(matches!(changed.course, Course::Resize { .. }));
    }
}

#[test]
fn a_resize_that_can_never_be_done_is_a_new_pod_where_that_is_allowed() {
    let mut spec = tenth();
    spec["onChange"] = json!("Recreate");
    let never = pod(1, SHARE)
        .sized()
        .resize(Resize::Infeasible("static CPU manager".into()));
    let standing = stands(spec, HALF, never);
    assert_eq!(standing.course, Course::Recreate);
    assert_eq!(standing.why.unwrap().message, "static CPU manager");
}

#[test]
fn what_was_asked_for_a_moment_ago_is_not_asked_for_again() {
    let Course::Resize { wanted, .. } = stands(tenth(), HALF, pod(1, HALF)).course else {
        panic!("it is resized")
    };
    let asked = stands(
        tenth(),
        HALF,
        pod(1, HALF).tried(Tried::Asked(wanted.clone())),
    );
    assert!(asked.is_resizing);
    assert_eq!(asked.course, Course::Nothing);
    let refusal = |is_final| Refusal {
        reason: reasons::REFUSED,
        message: "memory limit decrease".into(),
        is_final,
    };
    let refused = Tried::Refused(wanted.clone(), refusal(true));
    let standing = stands(tenth(), HALF, pod(1, HALF).tried(refused.clone()));
    assert_eq!(
        (word(&standing), standing.needs_recreate, &standing.course),
        (reasons::REFUSED, true, &Course::Nothing)
    );
    let other = json!({ "cpuPercentage": 20, "memoryPercentage": 20 });
    let standing = stands(other, HALF, pod(1, HALF).tried(refused));
    assert!(
        matches!(standing.course, Course::Resize { .. }),
        "it is another change"
    );
    let mut spec = tenth();
    spec["repair"] = json!("Recreate");
    let passing = Tried::Refused(wanted, refusal(false));
    let standing = stands(spec, HALF, pod(1, HALF).tried(passing));
    assert_eq!(
        standing.course,
        Course::Nothing,
        "nothing is deleted for it"
    );
}

#[test]
fn where_nothing_can_be_resized_every_pod_says_so() {
    let mut seen = template(tenth()).crew(crew("d", HALF).pods(vec![pod(1, HALF)], "1"));
    seen.refusal = Some(Refusal {
        reason: reasons::FORBIDDEN,
        message: "no right".into(),
        is_final: false,
    });
    let standing = seen.only();
    assert_eq!(
        (word(&standing), standing.needs_recreate, &standing.course),
        (reasons::FORBIDDEN, false, &Course::Nothing)
    );
}

#[test]
fn sidecars_are_resized_and_init_containers_left() {
    let containers = vec![
        container("setup", Role::Init, HALF),
        container("proxy", Role::Sidecar, HALF),
        container("main", Role::Main, HALF),
    ];
    let crew = crew("d", HALF)
        .with(|view| view.containers = containers.clone())
        .pods(
            vec![pod(1, HALF).with(|view| view.containers = containers)],
            "1",
        );
    let standing = template(json!({ "cpuPercentage": 20, "memoryPercentage": 20 }))
        .crew(crew)
        .only();
    let Course::Resize { wanted, .. } = &standing.course else {
        panic!("{standing:?}")
    };
    let now: Vec<_> = wanted.iter().map(|one| one.requests).collect();
    assert_eq!(now[1..], [amounts(SHARE), amounts(SHARE)]);
}

#[test]
fn a_clamp_is_noted_though_the_pod_is_sized() {
    let spec = json!({ "cpuPercentage": 10, "minCPU": "20", "memoryPercentage": 10 });
    let standing = stands(spec, HALF, pod(1, "cpu=10 memory=10Gi").sized());
    assert_eq!(standing.state, State::Sized);
    assert_eq!(standing.notes[0].reason(), "MinAboveAllocatable");
}
