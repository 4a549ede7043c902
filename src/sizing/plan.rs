//! What is to be done for a template in one pass, and then what is to be said of it. Pure: the time is an argument.
//!
//! ```text
//! seen ─► plan: how each pod stands, and what is done now ─► act ─► report: status and notices, or nothing where all is said already
//! ```

use crate::kit::conditions::{Finding, READY, merge};
use crate::kit::events::Notice;
use crate::sizing::api::{
    CHECKED, FlexDaemonsetTemplate, FlexDaemonsetTemplateStatus, PodCounts, Reason, UNUSABLE,
    USABLE,
};
use crate::sizing::observed::{Observed, Refusal};
use crate::sizing::standing::{Course, Standing, Why, standing};
use crate::sizing::summary::{self, Shortfall, Tally};
use crate::sizing::waves::{Wave, wave};
use jiff::Timestamp;

/// How the pods of each DaemonSet stand, and what is done for them now.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// For each crew, and each of its pods.
    pub(crate) standings: Vec<Vec<Standing>>,
    pub(crate) waves: Vec<Wave>,
}

/// A new status, and what to tell; both are empty where all is said already.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) status: Option<FlexDaemonsetTemplateStatus>,
    /// On the template.
    pub(crate) notices: Vec<Notice>,
    /// On the DaemonSet with this place among the crews.
    pub(crate) crew_notices: Vec<(usize, Notice)>,
    pub(crate) pods: PodCounts,
}

/// What is known besides pods.
#[derive(Debug, Default)]
pub(crate) struct Circumstances {
    pub(crate) shortfalls: Vec<Shortfall>,
    /// Where the shares come to more than nodes have, in a sentence.
    pub(crate) overcommitment: Option<String>,
}

/// Plans a pass.
pub(crate) fn plan(seen: &Observed) -> Plan {
    let mut plan = Plan::default();
    for crew in &seen.crews {
        let mut standings: Vec<_> = crew
            .pods
            .iter()
            .map(|pod| standing(seen, crew, pod))
            .collect();
        for (pod, standing) in crew.pods.iter().zip(&mut standings) {
            if !pod.is_here() {
                standing.course = Course::Nothing;
            }
        }
        plan.waves.push(wave(seen, crew, &mut standings));
        plan.standings.push(standings);
    }
    plan
}

impl Plan {
    /// When to look again, though nothing changes.
    pub(crate) fn again(&self) -> Option<Timestamp> {
        self.waves.iter().filter_map(|wave| wave.again).min()
    }

    /// A step was refused: the pod stands otherwise than it was thought.
    pub(crate) fn refuse(&mut self, (crew, pod): (usize, usize), refusal: &Refusal) {
        let crew = self.standings.get_mut(crew);
        if let Some(standing) = crew.and_then(|crew| crew.get_mut(pod)) {
            standing.is_resizing = false;
            standing.needs_recreate |= refusal.is_final;
            standing.why = Some(Why {
                reason: refusal.reason,
                message: refusal.message.clone(),
            });
        }
    }
}

/// What is to be said after a pass.
pub(crate) fn report(
    template: &FlexDaemonsetTemplate,
    seen: &Observed,
    plan: &Plan,
    circumstances: &Circumstances,
) -> Report {
    let former = template.status.clone().unwrap_or_default();
    let generation = template.metadata.generation;
    let tally = Tally::of(seen, plan, &circumstances.shortfalls);
    let found = [
        ready(seen),
        summary::sized(&tally),
        summary::overcommitted(circumstances.overcommitment.as_deref()),
    ];
    let reasons = tally.reasons();
    let mut crew_notices = summary::transitions(seen, &tally, &former, &reasons);
    crew_notices.extend(summary::steps(plan));
    let status = FlexDaemonsetTemplateStatus {
        observed_generation: generation,
        daemon_sets: summary::count(seen.crews.len()),
        pods: tally.pods,
        reasons,
        conditions: merge(&former.conditions, &found, generation, seen.now),
    };
    let is_news = template.status.as_ref() != Some(&status);
    Report {
        notices: notices(&former, &found),
        crew_notices,
        pods: tally.pods,
        status: is_news.then_some(status),
    }
}

fn ready(seen: &Observed) -> Finding {
    let (holds, reason, message) = match &seen.recipe {
        Ok(_) => (true, USABLE, "the template can be used".to_owned()),
        Err(why) => (false, UNUSABLE, why.clone()),
    };
    Finding {
        kind: READY,
        holds,
        reason,
        message,
    }
}

/// What turned from right to wrong or back. What was right from the start is no news.
fn notices(former: &FlexDaemonsetTemplateStatus, found: &[Finding]) -> Vec<Notice> {
    let told = found.iter().filter_map(|finding| {
        let is_right = match finding.kind {
            READY => finding.holds,
            summary::OVERCOMMITTED => !finding.holds,
            // That is told on the DaemonSets.
            _ => return None,
        };
        let mut conditions = former.conditions.iter();
        let known = conditions.find(|known| known.type_ == finding.kind);
        let was = known.map(|known| known.status == "True");
        let is_news = was.map_or(!is_right, |was| was != finding.holds);
        is_news.then(|| Notice {
            is_warning: !is_right,
            reason: finding.reason,
            action: CHECKED,
            note: finding.message.clone(),
        })
    });
    told.collect()
}

/// How many pods a reason speaks of.
pub(crate) fn told(reasons: &[Reason], reason: &str) -> i32 {
    let mut known = reasons.iter().filter(|known| known.reason == reason);
    known.next().map_or(0, |known| known.count)
}

#[cfg(test)]
mod tests;
