//! What is done now for the pods of one DaemonSet: so many at once, and new pods only as fast as the DaemonSet itself would. Pure.
//!
//! - In the middle of a change are: a resize that is open (one that can never be done is not), a pod that is going, and one that came
//!   with its share and is not ready yet. Together they are at most a wave.
//! - A pod that came without its share a moment ago is given it at once, whatever the wave: admission would have. Nothing that has run
//!   for long changes by that.
//! - Decreases go first, they make room; then by the names of the nodes.
//! - A pod is deleted only while fewer are unavailable than the DaemonSet allows. If the newest pod came without its share, the next one
//!   probably would as well: then one pod is tried, and the rest follows when a pod has come out well.

use crate::sizing::observed::{Crew, Observed, Seen};
use crate::sizing::standing::{
    Course, PATIENCE, Standing, State, Why, is_of_another_generation, reasons,
};
use crate::sizing::view::{Resize, Rollout};
use jiff::{SignedDuration, Timestamp};
use std::cmp::Reverse;

/// A new pod that is not ready after this long is not waited for any more.
const SETTLING: SignedDuration = SignedDuration::from_mins(5);
/// A pod that came without its share so lately is not a change of what runs.
const NEWBORN: SignedDuration = SignedDuration::from_mins(5);
/// How long nothing is deleted after a pod came out without its share.
const DISTRUST: SignedDuration = SignedDuration::from_mins(5);
/// How long nothing is deleted after a pod came out with a share that is not as it should be.
const DOUBT: SignedDuration = SignedDuration::from_mins(1);

/// What is done for a pod, by its place in the crew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) pod: usize,
    pub(crate) course: Course,
}

/// What is done now, and when to look again though nothing changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wave {
    pub(crate) steps: Vec<Step>,
    pub(crate) again: Option<Timestamp>,
}

/// Chooses what is done now; what has to wait is told so.
pub(crate) fn wave(seen: &Observed, crew: &Crew, standings: &mut [Standing]) -> Wave {
    let mut wave = Wave::default();
    let Ok(recipe) = &seen.recipe else {
        return wave;
    };
    let size = recipe.wave.of(crew.pods.len());
    let mut moving = 0_usize;
    for (pod, standing) in crew.pods.iter().zip(&*standings) {
        if is_in_the_middle(pod, standing, seen.now, &mut wave.again) {
            moving = moving.saturating_add(1);
        }
    }
    let mut room = size.saturating_sub(moving);
    resize((crew, seen.now), standings, &mut wave, &mut room);
    recreate(seen, crew, standings, &mut wave, room);
    wave
}

fn is_in_the_middle(
    pod: &Seen,
    standing: &Standing,
    now: Timestamp,
    again: &mut Option<Timestamp>,
) -> bool {
    let view = &pod.view;
    if view.is_over {
        return false;
    }
    let mut is_before = |time: Timestamp| {
        let is_before = now < time;
        if is_before {
            sooner(again, time);
        }
        is_before
    };
    if pod.is_going() {
        return true;
    }
    if is_newborn(pod, standing, now) {
        return false;
    }
    if standing.is_resizing {
        return match view.resize {
            Resize::Deferred(_) => view
                .resize_since
                .is_none_or(|since| is_before(until(since, PATIENCE))),
            // A kubelet that is away may never look at it.
            Resize::InProgress => view.is_ready || view.resize_since.is_some(),
            _ => true,
        };
    }
    let came_well = view.was_sized && standing.state == State::Sized;
    came_well && !view.is_ready && is_before(until(view.created, SETTLING))
}

fn until(time: Timestamp, limit: SignedDuration) -> Timestamp {
    time.checked_add(limit).unwrap_or(time)
}

fn is_newborn(pod: &Seen, standing: &Standing, now: Timestamp) -> bool {
    standing.state == State::Unsized && now < until(pod.view.created, NEWBORN)
}

fn sooner(again: &mut Option<Timestamp>, time: Timestamp) {
    *again = Some(again.map_or(time, |known| known.min(time)));
}

fn resize(
    (crew, now): (&Crew, Timestamp),
    standings: &mut [Standing],
    wave: &mut Wave,
    room: &mut usize,
) {
    let mut candidates: Vec<_> = standings
        .iter()
        .enumerate()
        .filter_map(|(at, standing)| match &standing.course {
            Course::Resize { is_decrease, .. } => {
                Some((Reverse(*is_decrease), node_of(crew, at), at))
            }
            _ => None,
        })
        .collect();
    candidates.sort_unstable();
    for (_, _, at) in candidates {
        let Some(standing) = standings.get_mut(at) else {
            continue;
        };
        let pod = crew.pods.get(at);
        let is_newborn = pod.is_some_and(|pod| is_newborn(pod, standing, now));
        // One whose resize is open already takes no more room when it is resized to something else.
        let takes_room = !standing.is_resizing && !is_newborn;
        if !takes_room || *room > 0 {
            if takes_room {
                *room = room.saturating_sub(1);
            }
            standing.is_resizing = true;
            wave.steps.push(Step {
                pod: at,
                course: standing.course.clone(),
            });
        } else {
            standing.why = Some(Why {
                reason: reasons::WAITING,
                message: "others of its DaemonSet are changed first, so many at once as the template's wave says".into(),
            });
            standing.course = Course::Nothing;
        }
    }
}

fn node_of(crew: &Crew, at: usize) -> &str {
    let node = crew.pods.get(at).and_then(|pod| pod.view.node.as_deref());
    node.unwrap_or_default()
}

fn recreate(
    seen: &Observed,
    crew: &Crew,
    standings: &mut [Standing],
    wave: &mut Wave,
    room: usize,
) {
    let mut candidates: Vec<_> = standings
        .iter()
        .enumerate()
        .filter(|(_, standing)| standing.course == Course::Recreate)
        .map(|(at, _)| {
            let is_ready = crew.pods.get(at).is_some_and(|pod| pod.view.is_ready);
            (is_ready, node_of(crew, at), at)
        })
        .collect();
    if candidates.is_empty() {
        return;
    }
    candidates.sort_unstable();
    let unready = candidates.iter().filter(|(ready, _, _)| !ready).count();
    let allowed = allowed(crew, unready).map(|most| most.min(room));
    let (slots, why) = match hold(seen, crew, standings, &mut wave.again) {
        Some(why) => (0, why),
        None => match allowed {
            Ok(most) => (
                most,
                "as many pods of its DaemonSet are unavailable as may be".to_owned(),
            ),
            Err(why) => (0, why),
        },
    };
    let distrusts = !newest_is_well(crew, standings);
    let slots = if distrusts { slots.min(1) } else { slots };
    for (place, (_, _, at)) in candidates.into_iter().enumerate() {
        let Some(standing) = standings.get_mut(at) else {
            continue;
        };
        if place < slots {
            wave.steps.push(Step {
                pod: at,
                course: Course::Recreate,
            });
            continue;
        }
        standing.course = Course::Nothing;
        let cause = standing.why.as_ref().map_or("", |why| &why.message);
        let message = if cause.is_empty() {
            why.clone()
        } else {
            format!("{why}; {cause}")
        };
        standing.why = Some(Why {
            reason: reasons::NOT_RECREATED,
            message,
        });
    }
}

/// How many more pods may be deleted, where so many of those that are to be made anew are not ready anyway.
fn allowed(crew: &Crew, unready: usize) -> Result<usize, String> {
    let most = crew.view.rollout.most_unavailable().ok_or_else(|| {
        "its DaemonSet allows no pod to be unavailable (maxUnavailable 0): roll it out yourself, with kubectl rollout restart".to_owned()
    })?;
    let desired = usize::try_from(crew.view.rollout.desired).unwrap_or_default();
    let ready = crew
        .pods
        .iter()
        .filter(|pod| pod.is_here() && pod.view.is_ready)
        .count();
    let told = usize::try_from(crew.view.rollout.unavailable).unwrap_or_default();
    let unavailable = desired.saturating_sub(ready).max(told);
    Ok(most.saturating_sub(unavailable.saturating_sub(unready)))
}

impl Rollout {
    /// By the rules of the DaemonSet controller; none where pods are replaced by surging.
    pub(crate) fn most_unavailable(&self) -> Option<usize> {
        let scaled = |written: Option<&str>, absent: usize| {
            let Some(text) = written else { return absent };
            match text.strip_suffix('%') {
                Some(percent) => {
                    let desired = usize::try_from(self.desired).unwrap_or_default();
                    let percent = percent.parse().unwrap_or(0_usize);
                    desired.saturating_mul(percent).div_ceil(100)
                }
                None => text.parse().unwrap_or(absent),
            }
        };
        match scaled(self.max_unavailable.as_deref(), 1) {
            0 if scaled(self.max_surge.as_deref(), 0) > 0 => None,
            most => Some(most.max(1)),
        }
    }
}

fn newest(crew: &Crew) -> Option<(usize, &Seen)> {
    let here = crew.pods.iter().enumerate();
    here.filter(|(_, pod)| pod.is_here())
        .max_by_key(|(at, pod)| (pod.view.created, Reverse(*at)))
}

fn newest_is_well(crew: &Crew, standings: &[Standing]) -> bool {
    newest(crew)
        .and_then(|(at, _)| standings.get(at))
        .is_none_or(|standing| !standing.needs_recreate)
}

/// Why nothing is deleted now.
fn hold(
    seen: &Observed,
    crew: &Crew,
    standings: &[Standing],
    again: &mut Option<Timestamp>,
) -> Option<String> {
    if crew
        .pods
        .iter()
        .any(|pod| pod.is_here() && is_of_another_generation(crew, pod))
    {
        return Some("pods of an older generation of its DaemonSet are replaced first".into());
    }
    let (at, pod) = newest(crew)?;
    let standing = standings.get(at)?;
    if !standing.needs_recreate {
        return None;
    }
    let limit = match standing.state {
        // It came before the template did: nothing is known of pods that come now.
        State::Unsized if pod.view.created < seen.created => return None,
        State::Unsized => DISTRUST,
        State::Stale | State::Sized => DOUBT,
    };
    let until = pod.view.created.checked_add(limit).ok()?;
    (seen.now < until).then(|| {
        sooner(again, until);
        format!(
            "the newest pod of its DaemonSet ({}) did not come out with its share either, so a new one might not; is the webhook at work?",
            pod.name
        )
    })
}

#[cfg(test)]
mod tests;
