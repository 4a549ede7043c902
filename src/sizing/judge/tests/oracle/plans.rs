//! Containers of DaemonSets, and pods with them as an API server would send them.

use super::amount::{KEYS, Texts, spelled};
use super::model::{FIELDS, Kind, Own};
use super::scenes::{grains, ranges, texts};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A container, in the DaemonSet's template, in the template of its share, and in the pod.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    kind: Kind,
    /// What it asks for in the DaemonSet's template; none: it was put into the pod by somebody else.
    own: Option<Texts>,
    pub(super) entry: Option<Value>,
    resources: Option<Value>,
}

fn entry() -> impl Strategy<Value = Value> {
    let fixed =
        [0, 1, 2].map(|r| {
            of((grains(r), any::<u8>())
                .prop_map(move |(grains, way)| spelled(r, grains / 64 + 1, way)))
        });
    let fixed = fixed.prop_map(|texts| {
        let said = FIELDS
            .iter()
            .zip(texts)
            .filter_map(|((name, _), text)| Some(((*name).to_owned(), json!(text?))));
        json!({ "fixed": said.collect::<Map<_, _>>() })
    });
    prop_oneof![3 => (1..=10_000_u32).prop_map(|weight| json!({ "weight": weight })), 2 => fixed, 1 => Just(json!({ "exclude": true })), 1 => Just(json!({}))]
}

/// What stands in the pod: nothing, something empty, or amounts; defaults of a LimitRange look the same.
fn resources() -> impl Strategy<Value = Option<Value>> {
    let empty = prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!({}))),
        Just(Some(json!({ "requests": null, "limits": {} }))),
        Just(Some(
            json!({ "limits": null, "claims": [{ "name": "c" }], "fieldOfTomorrow": [1] })
        )),
    ];
    let full = (ranges(0.7), any::<bool>(), any::<bool>()).prop_map(
        |((mut requests, limits), has_gpu, has_pages)| {
            // The API server takes a limit for the request that is not said.
            for (request, limit) in requests.iter_mut().zip(&limits) {
                *request = request.take().or_else(|| limit.clone());
            }
            let list = |texts: Texts| -> Map<String, Value> {
                let said = KEYS
                    .iter()
                    .zip(texts)
                    .filter_map(|(key, text)| Some(((*key).to_owned(), json!(text?))));
                said.collect()
            };
            let mut all = json!({ "requests": list(requests), "limits": list(limits) });
            if has_gpu {
                all["limits"]["nvidia.com/gpu"] = json!("1");
            }
            if has_pages {
                all["requests"]["hugepages-2Mi"] = json!("4Mi");
            }
            Some(all)
        },
    );
    prop_oneof![empty, full]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![4 => Just(Kind::Main), 2 => Just(Kind::Sidecar), 2 => Just(Kind::Init)]
}

/// Containers whose requests are in all, in some, or in none of them.
pub(super) fn plans() -> impl Strategy<Value = Vec<Plan>> {
    prop_oneof![Just(0.999), Just(0.5), Just(0.001)].prop_flat_map(|likely| {
        let plan = (
            kind(),
            weighted(0.85, texts(likely)),
            weighted(0.25, entry()),
            resources(),
        );
        let plan = plan.prop_map(|(kind, own, entry, resources)| Plan {
            kind,
            own,
            entry,
            resources,
        });
        vec(plan, 1..6)
    })
}

pub(super) fn named(at: usize) -> String {
    format!("c{at}")
}

/// The containers of a DaemonSet's template; init containers come first.
pub(super) fn owns(plans: &[Plan]) -> Vec<Own> {
    let all = plans.iter().enumerate().filter_map(|(at, plan)| {
        let requests = plan.own.clone()?;
        Some(Own {
            name: named(at),
            kind: plan.kind,
            requests,
        })
    });
    let (main, mut first): (Vec<_>, Vec<_>) = all.partition(|own| own.kind == Kind::Main);
    first.extend(main);
    first
}

pub(super) fn pod(plans: &[Plan], annotations: Option<Value>, whole: Option<Value>) -> Value {
    let containers = plans.iter().enumerate().map(|(at, plan)| {
        let mut container =
            json!({ "name": named(at), "image": "i", "fieldOfTomorrow": { "deep": [at] } });
        if plan.kind == Kind::Sidecar {
            container["restartPolicy"] = json!("Always");
        }
        if let Some(resources) = &plan.resources {
            container["resources"] = resources.clone();
        }
        (plan.kind == Kind::Main, container)
    });
    let (main, init): (Vec<_>, Vec<_>) = containers.partition(|(is_main, _)| *is_main);
    let bare = |list: Vec<(bool, Value)>| {
        list.into_iter()
            .map(|(_, container)| container)
            .collect::<Vec<_>>()
    };
    let mut pod = crate::sizing::testkit::pod("agent", "n", json!([]));
    pod["spec"]["containers"] = json!(bare(main));
    pod["spec"]["initContainers"] = if init.is_empty() {
        Value::Null
    } else {
        json!(bare(init))
    };
    if let Some(whole) = whole {
        pod["spec"]["resources"] = whole;
    }
    pod["spec"]["fieldOfTomorrow"] = json!({ "cpu": "1" });
    if let Some(annotations) = annotations {
        pod["metadata"]["annotations"] = annotations;
    }
    pod
}
