//! What a share depends on, and how large it is, as docs/shares.md says it; by nothing but that page.

use super::amount::{GRAIN, Texts, nanos, times};
use super::seats::{Seat, seats};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// The names of a resource in a template's fields.
pub(super) const FIELDS: [(&str, &str); 3] =
    [("cpu", "CPU"), ("memory", "Memory"), ("storage", "Storage")];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Main,
    Sidecar,
    Init,
}

/// A container of a DaemonSet's template.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) requests: Texts,
}

/// What a LimitRange says of containers, or of pods.
#[derive(Debug, Clone, Default)]
pub(super) struct Side {
    pub(super) min: Texts,
    pub(super) max: Texts,
    pub(super) ratio: Texts,
}

/// Another DaemonSet that lands on the node, and its template.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    pub(super) spec: Option<Value>,
    pub(super) containers: Vec<Own>,
}

/// A pod under review, and all that its share depends on.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) allocatable: Texts,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) spec: Value,
    pub(super) containers: Vec<Own>,
    /// Of containers and of pods, by LimitRange.
    pub(super) ranges: Vec<(Side, Side)>,
    pub(super) neighbours: Vec<Neighbour>,
    pub(super) pod: Value,
}

impl fmt::Debug for Scene {
    /// In few lines: these are read when a case fails.
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        writeln!(
            out,
            "node {:?} {:?}\ntemplate {}",
            self.allocatable, self.labels, self.spec
        )?;
        for own in &self.containers {
            writeln!(out, "own {own:?}")?;
        }
        for (container, pod) in &self.ranges {
            writeln!(
                out,
                "range of containers {container:?}\nrange of pods {pod:?}"
            )?;
        }
        for neighbour in &self.neighbours {
            writeln!(out, "neighbour {neighbour:?}")?;
        }
        let spec = &self.pod["spec"];
        write!(
            out,
            "pod {} {} {}",
            self.pod["metadata"]["annotations"], spec["initContainers"], spec["containers"]
        )
    }
}

impl Scene {
    /// The same, of another pod.
    pub(super) fn with(&self, pod: &Value) -> Self {
        Self {
            pod: pod.clone(),
            ..self.clone()
        }
    }

    /// The pod has resources as a whole.
    pub(super) fn is_whole(&self) -> bool {
        let whole = &self.pod["spec"]["resources"];
        ["requests", "limits"].iter().any(|list| {
            let said = whole[list].as_object();
            said.is_some_and(|said| !said.is_empty())
        })
    }
}

pub(super) fn down(text: &str, r: usize) -> u128 {
    nanos(text) / GRAIN[r]
}

pub(super) fn up(text: &str, r: usize) -> u128 {
    nanos(text).div_ceil(GRAIN[r])
}

/// A field of a template, on a node with these labels: the first override that matches says it, or the template.
fn field<'a>(spec: &'a Value, labels: &BTreeMap<String, String>, name: &str) -> Option<&'a Value> {
    let overrides = spec["nodeOverrides"].as_array().into_iter().flatten();
    let matching = overrides
        .into_iter()
        .find(|one| matches(&one["nodeSelector"], labels));
    matching
        .and_then(|one| one.get(name))
        .or_else(|| spec.get(name))
}

fn matches(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let rules = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    equal
        .into_iter()
        .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        && rules.into_iter().all(|rule| {
            let value = labels.get(rule["key"].as_str().unwrap());
            let is_listed = value.is_some_and(|value| {
                rule["values"]
                    .as_array()
                    .is_some_and(|all| all.contains(&json!(value)))
            });
            match rule["operator"].as_str().unwrap() {
                "In" => is_listed,
                "NotIn" => !is_listed,
                "Exists" => value.is_some(),
                _ => value.is_none(),
            }
        })
}

/// What a template's pods get of the node before anything gives way, in grains.
fn promised(scene: &Scene, spec: &Value, r: usize) -> Option<u128> {
    let (lower, upper) = FIELDS[r];
    let of = |name: &str| field(spec, &scene.labels, name);
    let percentage = of(&format!("{lower}Percentage"))?.as_u64().unwrap();
    let allocatable = nanos(scene.allocatable[r].as_deref()?);
    let mut base = allocatable;
    if spec["base"] == "AllocatableMinusDaemonSets" {
        let plain = scene.neighbours.iter().filter(|one| one.spec.is_none());
        base = base.saturating_sub(plain.map(|one| asked(&one.containers, r)).sum());
    }
    let mut share = times(base, percentage.into(), 100 * GRAIN[r]).0;
    if let Some(min) = of(&format!("min{upper}")) {
        share = share.max(up(min.as_str().unwrap(), r));
    }
    if let Some(max) = of(&format!("max{upper}")) {
        share = share.min(down(max.as_str().unwrap(), r));
    }
    Some(share.min(allocatable / GRAIN[r]))
}

/// What a pod of such containers takes of a node: the running ones together, or more while one of its init containers runs.
pub(super) fn effective(containers: impl Iterator<Item = (Kind, u128)>) -> u128 {
    let (mut running, mut peak) = (0, 0);
    for (kind, amount) in containers {
        if kind == Kind::Init {
            peak = peak.max(running + amount);
        } else {
            running += amount;
        }
    }
    peak.max(running)
}

/// The same, of a DaemonSet's template.
fn asked(containers: &[Own], r: usize) -> u128 {
    effective(
        containers
            .iter()
            .map(|own| (own.kind, own.requests[r].as_deref().map_or(0, nanos))),
    )
}

/// The pod's share of a resource, in grains.
pub(super) fn share(scene: &Scene, r: usize) -> Option<u128> {
    let mut share = promised(scene, &scene.spec, r)?;
    if scene.spec["overcommit"] == "Scale" {
        let (mut firm, mut soft) = (0, share);
        for neighbour in &scene.neighbours {
            let Some(spec) = &neighbour.spec else {
                continue;
            };
            let theirs = promised(scene, spec, r).unwrap_or_default();
            *if spec["overcommit"] == "Scale" {
                &mut soft
            } else {
                &mut firm
            } += theirs;
        }
        let has = nanos(scene.allocatable[r].as_deref()?) / GRAIN[r];
        if firm + soft > has && soft > 0 {
            share = times(share, has.saturating_sub(firm), soft).0;
        }
    }
    if share == 0 {
        return None;
    }
    // What keeps its own resources is part of the pod too.
    let seats = seats(scene);
    let kept = || {
        seats
            .iter()
            .filter(|seat| seat.kind != Kind::Init && seat.keeps_its_own())
    };
    let [requests, limits] = ["requests", "limits"].map(|list| written(scene, kept(), list, r));
    let pods = || scene.ranges.iter().map(|(_, pod)| pod);
    for min in pods().filter_map(|pod| pod.min[r].as_deref()) {
        share = share.max(
            nanos(min)
                .saturating_sub(requests.min(limits))
                .div_ceil(GRAIN[r]),
        );
    }
    for max in pods().filter_map(|pod| pod.max[r].as_deref()) {
        share = share.min(nanos(max).saturating_sub(requests.max(limits)) / GRAIN[r]);
    }
    (share > 0).then_some(share)
}

/// What stands in the pod for these containers, in billionths.
fn written<'a>(
    scene: &Scene,
    seats: impl Iterator<Item = &'a Seat<'a>>,
    list: &str,
    r: usize,
) -> u128 {
    seats.filter_map(|seat| seat.written(scene, list, r)).sum()
}

/// The most that containers of a pod may ask for beside these others, in grains.
pub(super) fn most<'a>(
    scene: &Scene,
    others: impl Iterator<Item = &'a Seat<'a>> + Clone,
    r: usize,
) -> u128 {
    let has = scene.allocatable[r].as_deref().map_or(0, nanos) / GRAIN[r];
    let [requests, limits] =
        ["requests", "limits"].map(|list| written(scene, others.clone(), list, r));
    let ranges = scene.ranges.iter();
    let allowed = ranges.filter_map(|(_, pod)| Some(nanos(pod.max[r].as_deref()?)));
    let left = allowed.map(|max| max.saturating_sub(requests.max(limits)) / GRAIN[r]);
    left.fold(has, u128::min)
}
