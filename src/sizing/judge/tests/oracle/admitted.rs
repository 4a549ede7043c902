//! The pod as it is to be admitted, as docs/shares.md says it.

use super::amount::{GRAIN, KEYS, nanos, times};
use super::model::{FIELDS, Scene, Side, down, effective, share, up};
use super::seats::{Seat, parts, seats};
use serde_json::{Value, json};

/// A container's request, within what LimitRanges allow.
fn bounded(scene: &Scene, r: usize, part: u128) -> u128 {
    let mut part = part;
    for (container, _) in &scene.ranges {
        part = part.max(container.min[r].as_deref().map_or(0, |min| up(min, r)));
    }
    for (container, _) in &scene.ranges {
        part = part.min(container.max[r].as_deref().map_or(part, |max| down(max, r)));
    }
    part
}

/// How the limits of a resource follow its requests.
fn policy(scene: &Scene, r: usize) -> &str {
    scene.spec["limits"][FIELDS[r].0]
        .as_str()
        .unwrap_or("Equal")
}

/// A container's limit in billionths; none where there is none.
fn limit(scene: &Scene, r: usize, request: u128, written: Option<u128>) -> Option<u128> {
    let mut limit = match policy(scene, r) {
        "Equal" => request * GRAIN[r],
        "None" => written?.max(request * GRAIN[r]),
        percentage => {
            let percentage: u128 = percentage.trim_end_matches('%').parse().unwrap();
            request * percentage / 100 * GRAIN[r]
        }
    };
    for (container, _) in &scene.ranges {
        if let Some(max) = container.max[r].as_deref().filter(|max| limit > nanos(max)) {
            limit = down(max, r) * GRAIN[r];
        }
        if let Some(ratio) = container.ratio[r].as_deref() {
            limit = limit.min(times(request, nanos(ratio), 1_000_000_000).0 * GRAIN[r]);
        }
    }
    Some(limit)
}

/// A container with its request and its limit in billionths, and whether they are ours.
struct Given<'a> {
    seat: &'a Seat<'a>,
    request: Option<u128>,
    limit: Option<u128>,
    is_ours: bool,
}

fn given<'a>(scene: &Scene, seats: &'a [Seat], r: usize) -> Vec<Given<'a>> {
    let Some(share) = share(scene, r) else {
        return Vec::new();
    };
    let mut all: Vec<_> = seats
        .iter()
        .zip(parts(scene, seats, r, share))
        .map(|(seat, part)| {
            let written = |list| seat.written(scene, list, r);
            let request = part.map(|part| bounded(scene, r, part));
            Given {
                seat,
                request: request
                    .map(|request| request * GRAIN[r])
                    .or(written("requests")),
                limit: request.map_or(written("limits"), |request| {
                    limit(scene, r, request, written("limits"))
                }),
                is_ours: request.is_some(),
            }
        })
        .collect();
    let (requests, limits) = sums(&all);
    let (requests, limits) = (requests.unwrap_or_default(), limits.unwrap_or_default());
    let is_too_far = |pod: &Side| {
        pod.max[r].as_deref().is_some_and(|max| limits > nanos(max))
            || pod.ratio[r]
                .as_deref()
                .is_some_and(|ratio| limits > times(requests, nanos(ratio), 1_000_000_000).0)
    };
    if scene.ranges.iter().any(|(_, pod)| is_too_far(pod)) {
        for one in all.iter_mut().filter(|one| one.is_ours) {
            one.limit = one.request;
        }
    }
    let as_it_is = as_it_is(scene, seats, r);
    if are_refused(scene, &all, r) && !are_refused(scene, &as_it_is, r) {
        return as_it_is;
    }
    all
}

/// The containers as they stand.
fn as_it_is<'a>(scene: &Scene, seats: &'a [Seat], r: usize) -> Vec<Given<'a>> {
    let written = |seat: &'a Seat| Given {
        seat,
        request: seat.written(scene, "requests", r),
        limit: seat.written(scene, "limits", r),
        is_ours: false,
    };
    seats.iter().map(written).collect()
}

fn are_refused(scene: &Scene, all: &[Given], r: usize) -> bool {
    let sums = sums(all);
    scene.ranges.iter().any(|(_, pod)| refuses(pod, r, sums))
}

/// Whether an API server refuses the pod as it stands, by what LimitRanges say of pods.
pub(super) fn is_refused(scene: &Scene) -> bool {
    let seats = seats(scene);
    (0..3).any(|r| are_refused(scene, &as_it_is(scene, &seats, r), r))
}

/// What the containers come to, requests and limits; none where none of them has any.
fn sums(all: &[Given]) -> (Option<u128>, Option<u128>) {
    let sum = |of: fn(&Given) -> Option<u128>| {
        let said = all.iter().any(|one| of(one).is_some());
        let amounts = all
            .iter()
            .map(|one| (one.seat.kind, of(one).unwrap_or_default()));
        said.then(|| effective(amounts))
    };
    (sum(|one| one.request), sum(|one| one.limit))
}

/// Whether an API server refuses a pod by what a LimitRange says of pods.
fn refuses(pod: &Side, r: usize, (requests, limits): (Option<u128>, Option<u128>)) -> bool {
    let said = |text: &Option<String>| text.as_deref().map(nanos);
    let requests = requests.unwrap_or_default();
    let far = said(&pod.ratio[r]).map(|ratio| times(requests, ratio, 1_000_000_000).0);
    said(&pod.min[r]).is_some_and(|min| requests < min || limits.is_some_and(|limit| limit < min))
        || said(&pod.max[r])
            .is_some_and(|max| requests > max || limits.is_some_and(|limit| limit > max))
        || far.is_some_and(|far| limits.is_some_and(|limit| limit > far))
}

/// The pod as it is to be admitted. What was set is written in billionths, as `=…`, and so is what its annotation says.
pub(super) fn expected(scene: &Scene) -> Value {
    let mut pod = scene.pod.clone();
    if scene.is_whole() {
        return pod;
    }
    let seats = seats(scene);
    let mut share = Vec::new();
    for r in 0..3 {
        let ours = || {
            let all = given(scene, &seats, r).into_iter();
            all.filter(|one| one.is_ours)
        };
        let requests = ours().filter_map(|one| Some((one.seat.kind, one.request?)));
        let amount = effective(requests);
        if amount > 0 {
            share.push(format!("{}={amount}", KEYS[r]));
        }
        for one in ours() {
            let resources = &mut pod.pointer_mut(&one.seat.place).unwrap()["resources"];
            for (list, amount) in [("requests", one.request), ("limits", one.limit)] {
                let is_new = amount != one.seat.written(scene, list, r);
                if let Some(amount) = amount.filter(|_| is_new) {
                    resources[list][KEYS[r]] = json!(format!("={amount}"));
                }
            }
        }
    }
    if !share.is_empty() {
        let share = format!("{} of node n by template t", share.join(" "));
        pod["metadata"]["annotations"]["holdfast.dev/share"] = json!(share);
    }
    pod
}
