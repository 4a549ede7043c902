//! Many pods in a few words: counts, reasons, conditions, and what is told about a DaemonSet. Pure.

use crate::kit::conditions::Finding;
use crate::kit::events::Notice;
use crate::sizing::api::{FlexDaemonsetTemplateStatus, PodCounts, Reason};
use crate::sizing::notes::Note;
use crate::sizing::observed::{Crew, Observed, Seen};
use crate::sizing::plan::{Plan, told};
use crate::sizing::standing::{Course, Standing, State, reasons};
use crate::sizing::waves::Step;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// All pods have their share.
pub(crate) const SIZED: &str = "Sized";
/// The shares of all DaemonSets come to more than a node has.
pub(crate) const OVERCOMMITTED: &str = "Overcommitted";
/// More reasons than this are not listed.
const MOST_REASONS: usize = 20;
const RESIZING: &str = "Resizing";
const RECREATING: &str = "Recreating";
const UNSIZED: &str = "Unsized";
const NEEDS_RECREATE: &str = "NeedsRecreate";

/// Reasons that a person should hear of when they come up, as events.
const HEARD: [&str; 7] = [
    reasons::INFEASIBLE,
    reasons::RESIZE_FAILED,
    reasons::REFUSED,
    reasons::FORBIDDEN,
    reasons::UNSUPPORTED,
    reasons::QUOTA_EXCEEDED,
    reasons::TEMPLATE_UNUSABLE,
];

/// Pods that are missing, because a quota refuses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shortfall {
    /// The place of the DaemonSet among the crews.
    pub(crate) crew: usize,
    pub(crate) pods: usize,
    pub(crate) node: String,
    pub(crate) message: String,
}

/// The pods of a template, counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) pods: PodCounts,
    /// By reason: over all, and for each crew.
    found: BTreeMap<&'static str, Found>,
    /// For each crew: how many are unsized, and stale without hope but a new pod.
    crews: Vec<CrewTally>,
}

#[derive(Debug, Default)]
struct CrewTally {
    pods: usize,
    unsized_pods: usize,
    stale_for_good: usize,
    example: Option<String>,
}

#[derive(Debug, Default)]
struct Found {
    count: usize,
    example: String,
    message: String,
    /// How often, by crew, and what is said of the first.
    crews: BTreeMap<usize, (usize, String, String)>,
}

pub(crate) fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn add(number: &mut i32, is_one: bool) {
    *number = number.saturating_add(i32::from(is_one));
}

impl Tally {
    pub(crate) fn of(seen: &Observed, plan: &Plan, shortfalls: &[Shortfall]) -> Self {
        let mut tally = Self::default();
        for (at, (crew, standings)) in seen.crews.iter().zip(&plan.standings).enumerate() {
            let mut crew_tally = CrewTally::default();
            let here = crew.pods.iter().zip(standings);
            for (pod, standing) in here.filter(|(pod, _)| pod.is_here()) {
                tally.count(standing);
                crew_tally.count(crew, pod, standing);
                tally.find(at, &example(crew, pod), standing);
            }
            tally.crews.push(crew_tally);
        }
        for missing in shortfalls {
            tally.add(
                reasons::QUOTA_EXCEEDED,
                (missing.crew, missing.pods),
                &missing.node,
                &missing.message,
            );
        }
        tally
    }

    fn count(&mut self, standing: &Standing) {
        let pods = &mut self.pods;
        add(&mut pods.total, true);
        add(&mut pods.sized, standing.state == State::Sized);
        add(&mut pods.unsized_pods, standing.state == State::Unsized);
        add(&mut pods.stale, standing.state == State::Stale);
        add(&mut pods.resizing, standing.is_resizing);
        add(&mut pods.needs_recreate, standing.needs_recreate);
    }

    fn find(&mut self, crew: usize, example: &str, standing: &Standing) {
        if let Some(why) = &standing.why {
            self.add(why.reason, (crew, 1), example, &why.message);
        }
        let mut known: Vec<&str> = Vec::new();
        for note in standing.notes.iter().filter(|note| is_worth_telling(note)) {
            // One pod counts once, however many of its containers it is about.
            if !known.contains(&note.reason()) {
                known.push(note.reason());
                self.add(note.reason(), (crew, 1), example, &note.to_string());
            }
        }
    }

    fn add(
        &mut self,
        reason: &'static str,
        (crew, count): (usize, usize),
        example: &str,
        message: &str,
    ) {
        let found = self.found.entry(reason).or_default();
        if found.count == 0 {
            (found.example, found.message) = (example.to_owned(), message.to_owned());
        }
        found.count = found.count.saturating_add(count);
        let here = found
            .crews
            .entry(crew)
            .or_insert_with(|| (0, example.to_owned(), message.to_owned()));
        here.0 = here.0.saturating_add(count);
    }

    /// The most frequent first; equal ones by name, so that the order stays.
    pub(crate) fn reasons(&self) -> Vec<Reason> {
        let mut all: Vec<_> = self.found.iter().collect();
        all.sort_by_key(|(reason, found)| (Reverse(found.count), **reason));
        all.into_iter()
            .take(MOST_REASONS)
            .map(|(reason, found)| Reason {
                reason: (*reason).to_owned(),
                count: count(found.count),
                example: found.example.clone(),
                message: found.message.clone(),
            })
            .collect()
    }
}

impl CrewTally {
    fn count(&mut self, crew: &Crew, pod: &Seen, standing: &Standing) {
        let plus = |number: usize, is_one: bool| number.saturating_add(usize::from(is_one));
        let is_hopeless = standing.state == State::Stale && standing.needs_recreate;
        self.pods = plus(self.pods, true);
        self.unsized_pods = plus(self.unsized_pods, standing.state == State::Unsized);
        self.stale_for_good = plus(self.stale_for_good, is_hopeless);
        if self.example.is_none() && (standing.state == State::Unsized || is_hopeless) {
            let why = standing.why.as_ref().map(|why| why.message.as_str());
            let done = match standing.course {
                Course::Resize { .. } => "it is resized in place",
                Course::Recreate => "it is made anew",
                Course::Nothing => "it is left alone",
            };
            self.example = Some(format!("{}: {}", example(crew, pod), why.unwrap_or(done)));
        }
    }
}

fn example(crew: &Crew, pod: &Seen) -> String {
    format!("{}/{}", crew.namespace, pod.name)
}

/// What the webhook does not warn of either.
fn is_worth_telling(note: &Note) -> bool {
    !matches!(note, Note::Absent(_) | Note::LimitRaised(..))
}

/// Whether all pods have their share.
pub(crate) fn sized(tally: &Tally) -> Finding {
    let pods = &tally.pods;
    let blocked = [reasons::FORBIDDEN, reasons::UNSUPPORTED]
        .into_iter()
        .find_map(|reason| tally.found.get_key_value(reason));
    let missing = tally.found.get_key_value(reasons::QUOTA_EXCEEDED);
    let counts = format!("{} of {} pods have their share", pods.sized, pods.total);
    let (reason, message) = match (blocked, missing) {
        (Some((reason, found)), _) | (None, Some((reason, found))) => {
            (*reason, format!("{counts}; {}", found.message))
        }
        (None, None) if pods.unsized_pods > 0 => ("SomePodsUnsized", counts),
        (None, None) if pods.stale > 0 => ("SomePodsStale", counts),
        (None, None) => ("AllSized", counts),
    };
    Finding {
        kind: SIZED,
        holds: reason == "AllSized",
        reason,
        message,
    }
}

/// Whether the shares come to more than nodes have.
pub(crate) fn overcommitted(sentence: Option<&str>) -> Finding {
    let (reason, message) = match sentence {
        Some(sentence) => ("SharesExceedNode", sentence.to_owned()),
        None => (
            "SharesFit",
            "the shares of all DaemonSets fit on every node".to_owned(),
        ),
    };
    Finding {
        kind: OVERCOMMITTED,
        holds: sentence.is_some(),
        reason,
        message,
    }
}

/// What came up since the former status, for the DaemonSets that it is about.
pub(crate) fn transitions(
    seen: &Observed,
    tally: &Tally,
    former: &FlexDaemonsetTemplateStatus,
    reasons: &[Reason],
) -> Vec<(usize, Notice)> {
    let mut notices = Vec::new();
    let notice = |reason, note| Notice {
        is_warning: true,
        reason,
        action: "Observed",
        note,
    };
    let more_unsized = tally.pods.unsized_pods > former.pods.unsized_pods;
    let more_hopeless = tally.pods.needs_recreate > former.pods.needs_recreate;
    for (at, crew) in tally.crews.iter().enumerate() {
        let example = crew.example.as_deref().unwrap_or_default();
        if more_unsized && crew.unsized_pods > 0 {
            let note = format!(
                "{} of {} pods were admitted without their share; {example}",
                crew.unsized_pods, crew.pods
            );
            notices.push((at, notice(UNSIZED, note)));
        }
        if more_hopeless && crew.stale_for_good > 0 {
            let note = format!(
                "{} of {} pods have to be made anew to have their share; {example}",
                crew.stale_for_good, crew.pods
            );
            notices.push((at, notice(NEEDS_RECREATE, note)));
        }
    }
    for (reason, found) in &tally.found {
        let is_more = told(reasons, reason) > told(&former.reasons, reason);
        if !is_more || !HEARD.contains(reason) {
            continue;
        }
        for (at, (pods, example, message)) in &found.crews {
            let of = seen.crews.get(*at).map_or(0, |crew| crew.pods.len());
            let note = match *reason {
                reasons::QUOTA_EXCEEDED => {
                    format!("{pods} pods are missing; node {example}: {message}")
                }
                _ => format!("{pods} of {of} pods; {example}: {message}"),
            };
            notices.push((*at, notice(reason, note)));
        }
    }
    notices
}

/// What was done for each DaemonSet.
pub(crate) fn steps(plan: &Plan) -> Vec<(usize, Notice)> {
    let mut notices = Vec::new();
    for (at, (wave, standings)) in plan.waves.iter().zip(&plan.standings).enumerate() {
        let done = |pick: fn(&Course, &Standing) -> bool| {
            let stands = |step: &&Step| {
                let standing = standings.get(step.pod);
                standing.is_some_and(|standing| pick(&step.course, standing))
            };
            wave.steps.iter().filter(stands).count()
        };
        // One that was refused is not resizing.
        let resized = done(|course, standing| {
            matches!(course, Course::Resize { .. }) && standing.is_resizing
        });
        let recreated = done(|course, _| *course == Course::Recreate);
        for (pods, reason, verb) in [
            (resized, RESIZING, "resized in place to their share"),
            (
                recreated,
                RECREATING,
                "deleted, to be made anew with their share",
            ),
        ] {
            if pods > 0 {
                let note = format!("{pods} of {} pods are {verb}", standings.len());
                notices.push((
                    at,
                    Notice {
                        is_warning: false,
                        reason,
                        action: reason,
                        note,
                    },
                ));
            }
        }
    }
    notices
}
