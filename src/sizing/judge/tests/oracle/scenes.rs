//! Scenes: nodes, templates, LimitRanges, and the DaemonSets among which a pod is judged.

use super::amount::{Texts, spelled};
use super::model::{FIELDS, Neighbour, Scene, Side};
use super::plans::{named, owns, plans, pod};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A count of grains: some small, some round, most as a node might have them.
pub(super) fn grains(r: usize) -> BoxedStrategy<u64> {
    if r == 0 {
        prop_oneof![2 => 1..50_u64, 6 => 1..9_000_u64, 1 => (1..300_u64).prop_map(|cores| cores * 1000)].boxed()
    } else {
        prop_oneof![1 => 1..50_u64, 4 => 1..(1_u64 << 36), 4 => (1..8192_u64).prop_map(|mi| mi << 20), 1 => Just(1_u64 << 60)].boxed()
    }
}

fn text(r: usize) -> BoxedStrategy<String> {
    prop_oneof![24 => (grains(r), any::<u8>()).prop_map(move |(grains, way)| spelled(r, grains, way)), 1 => Just("0".to_owned())].boxed()
}

/// A text for each resource, each there with this likelihood.
pub(super) fn texts(likely: f64) -> impl Strategy<Value = Texts> {
    [0, 1, 2].map(|r| weighted(likely, text(r)))
}

/// Two amounts of each resource, the smaller one first.
pub(super) fn ranges(likely: f64) -> impl Strategy<Value = (Texts, Texts)> {
    [0, 1, 2]
        .map(|r| {
            let pair = (grains(r), grains(r), 0..9_u8, 0..9_u8);
            let pair = pair.prop_map(move |(one, two, a, b)| {
                (spelled(r, one.min(two), a), spelled(r, one.max(two), b))
            });
            (weighted(likely, Just(())), weighted(likely, Just(())), pair)
                .prop_map(|(low, high, pair)| (low.map(|()| pair.0), high.map(|()| pair.1)))
        })
        .prop_map(|[cpu, memory, storage]| {
            ([cpu.0, memory.0, storage.0], [cpu.1, memory.1, storage.1])
        })
}

fn side(likely: f64) -> impl Strategy<Value = Side> {
    let ratio = || weighted(likely, prop_oneof!["1", "1\\.5", "2", "3200m", "10"]);
    (ranges(likely), [ratio(), ratio(), ratio()]).prop_map(|((min, max), ratio)| Side {
        min,
        max,
        ratio,
    })
}

/// Percentages, least and most, as a template or an override says them.
fn numbers(likely: f64) -> impl Strategy<Value = Map<String, Value>> {
    let percentages = [0, 1, 2].map(|_| weighted(likely, 1..=100_u8));
    (percentages, ranges(0.2)).prop_map(|(percentages, (min, max))| {
        let mut spec = Map::new();
        for (r, (lower, upper)) in FIELDS.into_iter().enumerate() {
            let said = [
                (
                    format!("{lower}Percentage"),
                    percentages[r].map(Value::from),
                ),
                (format!("min{upper}"), min[r].clone().map(Value::from)),
                (format!("max{upper}"), max[r].clone().map(Value::from)),
            ];
            spec.extend(
                said.into_iter()
                    .filter_map(|(key, value)| Some((key, value?))),
            );
        }
        spec
    })
}

fn selector() -> impl Strategy<Value = Value> {
    let key = prop_oneof!["size", "zone", "unheard-of"];
    let value = || prop_oneof!["a", "b", "c"];
    let rule = (key.clone(), prop_oneof!["In", "NotIn"], vec(value(), 1..3)).prop_map(
        |(key, operator, values)| json!({ "key": key, "operator": operator, "values": values }),
    );
    let there = (key.clone(), prop_oneof!["Exists", "DoesNotExist"])
        .prop_map(|(key, operator)| json!({ "key": key, "operator": operator }));
    let labels = (key, value()).prop_map(|(key, value)| json!({ "matchLabels": { key: value } }));
    let rules =
        vec(prop_oneof![rule, there], 0..3).prop_map(|rules| json!({ "matchExpressions": rules }));
    prop_oneof![labels, rules, Just(json!({}))]
}

/// A template without its containers.
fn spec(overrides: bool) -> impl Strategy<Value = Value> {
    let policy = || {
        weighted(
            0.6,
            prop_oneof!["Equal", "None", "100%", "150%", "333%", "9999%"],
        )
    };
    let other = (selector(), numbers(0.4)).prop_map(|(selector, mut numbers)| {
        // A least of an override may lie above a most of the template, which nobody could keep.
        numbers.retain(|key, _| key.ends_with("Percentage"));
        numbers.insert("nodeSelector".into(), selector);
        Value::from(numbers)
    });
    (
        numbers(0.85),
        [policy(), policy(), policy()],
        vec(other, 0..if overrides { 3 } else { 1 }),
    )
        .prop_map(|(mut spec, policies, overrides)| {
            let said = FIELDS
                .iter()
                .zip(policies)
                .filter_map(|((name, _), policy)| Some(((*name).to_owned(), json!(policy?))));
            let limits: Map<String, Value> = said.collect();
            if !limits.is_empty() {
                spec.insert("limits".into(), limits.into());
            }
            if !overrides.is_empty() {
                spec.insert("nodeOverrides".into(), overrides.into());
            }
            spec.into()
        })
}

fn annotations() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!({}))),
        Just(Some(
            json!({ "a~b/c": "d", "holdfast.dev/share": "of another day" })
        )),
    ]
}

/// Resources of the pod as a whole, once in a while, and now and then such as say nothing.
fn whole() -> impl Strategy<Value = Option<Value>> {
    let nothing = prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!({ "requests": {}, "limits": null })),
    ];
    let some = Just(Some(json!({ "limits": { "cpu": "1" } })));
    prop_oneof![40 => Just(None), 3 => nothing.prop_map(Some), 1 => some]
}

/// One DaemonSet by itself, on one node.
pub(super) fn alone() -> impl Strategy<Value = Scene> {
    let labels = of(prop_oneof!["a", "b"]).prop_map(|size| {
        size.into_iter()
            .map(|size| ("size".to_owned(), size))
            .collect::<BTreeMap<_, _>>()
    });
    let surroundings = (
        texts(0.9),
        labels,
        vec((side(0.25), side(0.15)), 0..2),
        (annotations(), whole()),
    );
    (surroundings, spec(true), plans()).prop_map(
        |((allocatable, labels, ranges, (annotations, whole)), mut spec, plans)| {
            let entries = plans.iter().enumerate().filter_map(|(at, plan)| {
                let mut entry = plan.entry.clone()?;
                entry["name"] = json!(named(at));
                Some(entry)
            });
            let entries: Vec<_> = entries.collect();
            if !entries.is_empty() {
                spec["containers"] = json!(entries);
            }
            let (containers, pod) = (owns(&plans), pod(&plans, annotations, whole));
            Scene {
                allocatable,
                labels,
                spec,
                containers,
                ranges,
                neighbours: Vec::new(),
                pod,
            }
        },
    )
}

/// One DaemonSet among others, whose template looks at them.
pub(super) fn among_others() -> impl Strategy<Value = Scene> {
    let scale = || weighted(0.5, Just(json!("Scale")));
    let neighbour = (of((spec(false), scale())), plans()).prop_map(|(spec, plans)| Neighbour {
        spec: spec.map(|(mut spec, overcommit)| {
            spec["overcommit"] = overcommit.unwrap_or_else(|| json!("Warn"));
            spec
        }),
        containers: owns(&plans),
    });
    (alone(), any::<bool>(), scale(), vec(neighbour, 0..4)).prop_map(
        |(mut scene, is_less, overcommit, neighbours)| {
            scene.spec["base"] = json!(if is_less {
                "AllocatableMinusDaemonSets"
            } else {
                "Allocatable"
            });
            scene.spec["overcommit"] = overcommit.unwrap_or_else(|| json!("Refuse"));
            scene.neighbours = neighbours;
            scene
        },
    )
}
