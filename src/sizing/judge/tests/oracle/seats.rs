//! The containers of a pod, and what part of its share each of them gets, as docs/shares.md says it.

use super::amount::{KEYS, nanos, times};
use super::model::{FIELDS, Kind, Own, Scene, most, up};
use serde_json::Value;

/// A container of the pod.
pub(super) struct Seat<'a> {
    pub(super) place: String,
    pub(super) kind: Kind,
    own: Option<&'a Own>,
    entry: Option<&'a Value>,
}

pub(super) fn seats(scene: &Scene) -> Vec<Seat<'_>> {
    let mut found = Vec::new();
    for list in ["initContainers", "containers"] {
        for (at, container) in scene.pod["spec"][list]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let name = &container["name"];
            let entries = scene.spec["containers"].as_array().into_iter().flatten();
            found.push(Seat {
                place: format!("/spec/{list}/{at}"),
                kind: match (list, container["restartPolicy"].as_str()) {
                    ("containers", _) => Kind::Main,
                    (_, Some("Always")) => Kind::Sidecar,
                    _ => Kind::Init,
                },
                own: scene.containers.iter().find(|own| *name == own.name),
                entry: entries.into_iter().find(|entry| entry["name"] == *name),
            });
        }
    }
    found
}

impl Seat<'_> {
    pub(super) fn keeps_its_own(&self) -> bool {
        self.entry.is_some_and(|entry| entry["exclude"] == true)
            || self.entry.is_none() && self.own.is_none()
    }

    /// What stands in the pod, in billionths.
    pub(super) fn written(&self, scene: &Scene, list: &str, r: usize) -> Option<u128> {
        let path = format!("{}/resources/{list}/{}", self.place, KEYS[r]);
        scene.pod.pointer(&path)?.as_str().map(nanos)
    }

    pub(super) fn fixed(&self, r: usize) -> Option<u128> {
        self.entry?["fixed"][FIELDS[r].0]
            .as_str()
            .map(|text| up(text, r))
    }

    fn weight(&self) -> Option<u128> {
        self.entry?["weight"].as_u64().map(u128::from)
    }

    /// What its template asks for; 0 is nothing.
    fn asked(&self, r: usize) -> Option<u128> {
        let asked = up(self.own?.requests[r].as_deref()?, r);
        (asked > 0).then_some(asked)
    }
}

/// The part of each container, in grains; none where it is left as it is.
pub(super) fn parts(scene: &Scene, seats: &[Seat], r: usize, share: u128) -> Vec<Option<u128>> {
    let fixed = |seat: &Seat| seat.fixed(r).filter(|_| !seat.keeps_its_own());
    let mut parts: Vec<Option<u128>> = seats.iter().map(fixed).collect();
    let among = |is_so: &dyn Fn(&Seat) -> bool| -> Vec<usize> {
        let runs = |at: &usize| seats[*at].kind != Kind::Init && is_so(&seats[*at]);
        (0..seats.len()).filter(runs).collect()
    };
    let are_fixed = among(&|seat| fixed(seat).is_some());
    let amounts: Vec<u128> = are_fixed.iter().filter_map(|at| parts[*at]).collect();
    let sum: u128 = amounts.iter().sum();
    if sum >= share {
        let others = among(&|seat| fixed(seat).is_none());
        let room = most(scene, others.iter().map(|at| &seats[*at]), r);
        if sum > room {
            for (at, part) in are_fixed.iter().zip(split(room, &amounts)) {
                parts[*at] = Some(part);
            }
        }
    }
    let splits = among(&|seat| fixed(seat).is_none() && !seat.keeps_its_own());
    let rest = share.saturating_sub(sum);
    for (at, part) in splits.iter().zip(split(rest, &weights(seats, &splits, r))) {
        parts[*at] = Some(part);
    }
    let (mut before, mut others) = (0, Vec::new());
    for (at, seat) in seats.iter().enumerate() {
        match (seat.kind, parts[at]) {
            (Kind::Init, Some(amount)) => {
                let room = most(scene, others.iter().copied(), r).saturating_sub(before);
                parts[at] = Some(amount.min(room));
            }
            (Kind::Init, None) if !seat.keeps_its_own() => {
                let room = share.saturating_sub(before);
                parts[at] = Some(seat.asked(r).map_or(room, |asked| asked.min(room)));
            }
            (Kind::Sidecar, Some(part @ 1..)) => before += part,
            (Kind::Sidecar, _) => others.push(seat),
            _ => {}
        }
    }
    parts
        .into_iter()
        .map(|part| part.filter(|part| *part > 0))
        .collect()
}

fn weights(seats: &[Seat], among: &[usize], r: usize) -> Vec<u128> {
    let of = || among.iter().map(|at| &seats[*at]);
    if of().any(|seat| seat.weight().is_some()) {
        return of().map(|seat| seat.weight().unwrap_or(1)).collect();
    }
    let asked: Option<Vec<u128>> = of().map(|seat| seat.asked(r)).collect();
    asked.unwrap_or_else(|| vec![1; among.len()])
}

fn split(whole: u128, weights: &[u128]) -> Vec<u128> {
    let total = weights.iter().sum::<u128>().max(1);
    let (mut parts, lost): (Vec<u128>, Vec<u128>) = weights
        .iter()
        .map(|weight| times(whole, *weight, total))
        .unzip();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(lost[*at]));
    let left = if weights.is_empty() {
        0
    } else {
        whole - parts.iter().sum::<u128>()
    };
    for at in order.into_iter().take(usize::try_from(left).unwrap()) {
        parts[at] += 1;
    }
    parts
}
