//! Shares against an oracle: `model`, `seats` and `admitted` compute docs/shares.md a second time, from that page alone; `scenes` draws
//! clusters and pods.
//! A pod is judged, its patch is applied by another implementation, and the whole pod is compared.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod admitted;
mod amount;
mod model;
mod plans;
mod scenes;
mod seats;

use super::*;
use crate::sizing::amounts::Amounts;
use crate::sizing::testkit::{Cluster, patched};
use crate::sizing::view::{Bounds, ContainerView, Labels, Role};
use admitted::{expected, is_refused};
use amount::{GRAIN, KEYS, Texts, nanos};
use model::{Kind, Own, Scene, Side, effective, share};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use seats::seats;

fn read(texts: &Texts) -> Amounts {
    Amounts::from_fn(|resource| {
        let at = KEYS.iter().position(|one| *one == resource.key())?;
        texts[at].as_deref()?.parse().ok()
    })
}

fn bounds(side: &Side) -> Bounds {
    Bounds {
        min: read(&side.min),
        max: read(&side.max),
        ratio: read(&side.ratio),
    }
}

fn views(containers: &[Own]) -> Vec<ContainerView> {
    let view = |own: &Own| ContainerView {
        name: own.name.as_str().into(),
        role: match own.kind {
            Kind::Main => Role::Main,
            Kind::Sidecar => Role::Sidecar,
            Kind::Init => Role::Init,
        },
        requests: read(&own.requests),
        limits: Amounts::default(),
    };
    containers.iter().map(view).collect()
}

fn cluster(scene: &Scene) -> Cluster {
    let labels = scene
        .labels
        .iter()
        .map(|(key, value)| (key.as_str().into(), value.as_str().into()));
    let node = NodeView {
        allocatable: read(&scene.allocatable),
        labels: Labels::new(labels.collect()),
        ..NodeView::default()
    };
    let mut cluster = Cluster::default()
        .template("t", scene.spec.clone())
        .daemonset("agent", Some("t"), views(&scene.containers));
    cluster.nodes.insert("n".into(), Arc::new(node));
    for (at, neighbour) in scene.neighbours.iter().enumerate() {
        let name = format!("neighbour{at}");
        if let Some(spec) = &neighbour.spec {
            cluster = cluster.template(&name, spec.clone());
        }
        let template = neighbour.spec.as_ref().map(|_| name.as_str());
        cluster = cluster.daemonset(&name, template, views(&neighbour.containers));
    }
    for (container, pod) in &scene.ranges {
        cluster = cluster.limit_range(LimitRangeView {
            name: "range".into(),
            container: bounds(container),
            pod: bounds(pod),
        });
    }
    cluster
}

/// The pod as it is to be compared: what the oracle set, counted in billionths; the rest as it stands.
fn counted(mut admitted: Value, expected: &Value) -> Value {
    for list in ["initContainers", "containers"] {
        let length = admitted["spec"][list].as_array().map_or(0, Vec::len);
        for place in (0..length).flat_map(|at| {
            ["requests", "limits"].map(|of| format!("/spec/{list}/{at}/resources/{of}"))
        }) {
            for key in KEYS {
                let path = format!("{place}/{key}");
                let is_set = expected
                    .pointer(&path)
                    .is_some_and(|value| value.as_str().is_some_and(|text| text.starts_with('=')));
                if let Some(value) = admitted.pointer_mut(&path).filter(|_| is_set) {
                    *value = json!(format!("={}", nanos(value.as_str().unwrap())));
                }
            }
        }
    }
    let share = admitted.pointer_mut("/metadata/annotations/holdfast.dev~1share");
    if let Some(Value::String(said)) = share {
        let words = said.split(' ').map(|word| match word.split_once('=') {
            Some((key, amount)) => format!("{key}={}", nanos(amount)),
            None => word.to_owned(),
        });
        *said = words.collect::<Vec<_>>().join(" ");
    }
    admitted
}

fn agrees(scene: &Scene) -> TestCaseResult {
    let cluster = cluster(scene);
    let judged = cluster.judge(&scene.pod);
    let admitted = patched(&scene.pod, &judged.answer);
    let expected = expected(scene);
    let difference = json_patch::diff(&expected, &counted(admitted.clone(), &expected));
    let verdict = (judged.verdict, &judged.answer.warnings);
    prop_assert!(
        difference.is_empty(),
        "not as expected: {} {:?}",
        difference,
        verdict
    );
    adds_up(scene, &admitted, &judged.answer.warnings)?;
    prop_assert!(
        is_refused(scene) || !is_refused(&scene.with(&admitted)),
        "a LimitRange refuses the pod because of its share"
    );
    only_what_is_ours(judged.answer.patch.as_deref())?;
    let again = cluster.judge(&admitted);
    prop_assert_eq!(
        again.answer.patch,
        None,
        "a second look finds nothing to do"
    );
    let twice = cluster.judge(&scene.pod);
    prop_assert_eq!(
        twice.answer,
        judged.answer,
        "the same question has the same answer"
    );
    Ok(())
}

/// Without a LimitRange between them, and if something is left to split, the parts are the share, and the pod never takes more.
fn adds_up(scene: &Scene, admitted: &Value, warnings: &[String]) -> TestCaseResult {
    let (seats, after) = (seats(scene), scene.with(admitted));
    for r in 0..3 {
        let is_bounded = scene
            .ranges
            .iter()
            .any(|(container, _)| container.min[r].is_some() || container.max[r].is_some());
        let Some(share) = share(scene, r).filter(|_| !is_bounded && !scene.is_whole()) else {
            continue;
        };
        let ours = || seats.iter().filter(|seat| !seat.keeps_its_own());
        let fixed: u128 = ours()
            .filter(|seat| seat.kind != Kind::Init)
            .filter_map(|seat| seat.fixed(r))
            .sum();
        let is_split = ours().any(|seat| seat.kind != Kind::Init && seat.fixed(r).is_none());
        let fixes_init = ours().any(|seat| seat.kind == Kind::Init && seat.fixed(r).is_some());
        // What gets nothing keeps what it asks for, which is told.
        let is_left = |warning: &String| {
            warning.contains(KEYS[r])
                && ["too small", "left as they are", "left as it is"]
                    .iter()
                    .any(|said| warning.contains(said))
        };
        if fixed > share || fixes_init || warnings.iter().any(is_left) {
            continue;
        }
        let requests = || {
            ours().map(|seat| {
                (
                    seat.kind,
                    seat.written(&after, "requests", r).unwrap_or_default(),
                )
            })
        };
        let running: u128 = requests()
            .filter(|(kind, _)| *kind != Kind::Init)
            .map(|(_, amount)| amount)
            .sum();
        prop_assert!(
            !is_split || running == share * GRAIN[r],
            "{}: {running} of {share}",
            KEYS[r]
        );
        prop_assert!(
            effective(requests()) <= share * GRAIN[r],
            "{}: more than {share}",
            KEYS[r]
        );
    }
    Ok(())
}

/// A patch adds, and only below resources of containers and to annotations.
fn only_what_is_ours(patch: Option<&str>) -> TestCaseResult {
    let operations: Vec<Value> = serde_json::from_str(patch.unwrap_or("[]")).unwrap();
    for operation in operations {
        let steps: Vec<_> = operation["path"]
            .as_str()
            .unwrap()
            .split('/')
            .skip(1)
            .collect();
        let is_ours = match steps[..] {
            [
                "spec",
                "containers" | "initContainers",
                _,
                "resources",
                ref rest @ ..,
            ] => match rest {
                [] | ["requests" | "limits"] => true,
                ["requests" | "limits", key] => KEYS.contains(key),
                _ => false,
            },
            ["metadata", "annotations"] | ["metadata", "annotations", "holdfast.dev~1share"] => {
                true
            }
            _ => false,
        };
        prop_assert!(is_ours && operation["op"] == "add", "{operation}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() })]
    #[test]
    fn f05_f06_a_pod_of_any_kind_gets_what_the_page_says(scene in scenes::alone()) {
        agrees(&scene)?;
    }

    #[test]
    fn a_pod_among_other_daemonsets_gets_what_the_page_says(scene in scenes::among_others()) {
        agrees(&scene)?;
    }
}
