//! What the runtime is answered: the record of the pod decides (`hold::answer`), and what is answered is written down first, where
//! somebody could die in between.

pub(crate) mod admitted;
mod held;

use crate::agent::attempt::Asker;
use crate::agent::host::Host;
use crate::agent::records::Records;
use crate::agent::targets::Targets;
use crate::agent::waiting::Ticket;
use crate::hold::answer::{self, Agent, Answer, Asked};
use crate::hold::change::Change;
use crate::hold::record::Record;
use crate::hold::rules::Rules;
use crate::hold::shelf::Whose;
use crate::hold::uid::Uid;
use crate::kit::error::chain;
use crate::oci::place::{Place, Places};
use crate::process::telemetry::AgentMetrics;
use crate::runtime::api::{Ask, Line, Question};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Whoever waits is told so at least this often: an agent that says nothing is taken for dead.
const REMINDER: Duration = Duration::from_secs(8);
/// How often the record of somebody who waits is looked at though nobody said that it changed.
const LOOK: Duration = Duration::from_secs(1);

/// Takes the lines of an answer.
pub(crate) trait Teller {
    /// Tells a line.
    fn tell(&mut self, line: &Line) -> impl Future<Output = io::Result<()>> + Send;
}

/// Answers the runtime.
pub(crate) struct Answers {
    records: Records,
    places: Places,
    host: Host,
    metrics: AgentMetrics,
    targets: Targets,
    /// Where an installation may be.
    prefixes: &'static [&'static str],
}

/// Who asks, and that it waits.
struct Asking {
    asker: Option<Arc<Asker>>,
    pid: Option<i32>,
    ticket: Option<Ticket>,
}

/// Something to do between two lines.
enum Next {
    /// It starts, and may do so again without an agent.
    Start,
    Tell(Line),
    Wait(String),
}

impl Answers {
    /// By these records, about the containers of this node.
    pub(crate) fn new(
        records: Records,
        host: Host,
        metrics: AgentMetrics,
        (targets, prefixes): (Targets, &'static [&'static str]),
    ) -> Self {
        Self {
            records,
            places: Places::below(&host.run()),
            host,
            metrics,
            targets,
            prefixes,
        }
    }

    /// Answers one question.
    ///
    /// # Errors
    /// Whoever asked went away.
    pub(crate) async fn answer(
        &self,
        question: Question,
        asker: Option<i32>,
        teller: &mut (impl Teller + Send),
    ) -> io::Result<()> {
        match question.ask {
            Ask::Create { place } => self.make(&place, asker, teller).await,
            Ask::Kill { id, signal, all: _ } => {
                let line = self.kill(&id, &signal).await;
                self.metrics.answered("kill", word(&line));
                teller.tell(&line).await
            }
            Ask::Delete { id, force } => {
                let line = self.remove(&id, force).await;
                self.metrics.answered("delete", word(&line));
                teller.tell(&line).await
            }
        }
    }

    /// Tells what is waited for as long as there is something, and then what may be done.
    async fn make(
        &self,
        place: &Place,
        pid: Option<i32>,
        teller: &mut (impl Teller + Send),
    ) -> io::Result<()> {
        let mut changes = self.records.changes();
        let _waiting = self.metrics.begins();
        let mut asking = Asking {
            // The connection is open after this too: who asks is looked at before each answer.
            asker: pid.and_then(Asker::of).map(Arc::new),
            pid,
            ticket: None,
        };
        let (mut said, mut reminded) = (String::new(), Instant::now());
        loop {
            changes.mark_unchanged();
            match self.decide(place, &mut asking).await {
                Next::Start => {
                    self.tell(place, &Line::Start, teller).await?;
                    self.note(place).await;
                    return Ok(());
                }
                Next::Tell(line) => return self.tell(place, &line, teller).await,
                Next::Wait(why) => {
                    if why != said {
                        tracing::info!(
                            namespace = place.namespace,
                            pod = place.pod,
                            container = place.container,
                            why,
                            "waits"
                        );
                    }
                    if why != said || reminded.elapsed() >= REMINDER {
                        teller.tell(&Line::Wait { why: why.clone() }).await?;
                        (said, reminded) = (why, Instant::now());
                    }
                }
            }
            // A sender of ours is always there, so this ends with a change or with the look's time.
            let _changed = tokio::time::timeout(LOOK, changes.changed()).await;
        }
    }

    /// Tells the last line.
    async fn tell(
        &self,
        place: &Place,
        line: &Line,
        teller: &mut (impl Teller + Send),
    ) -> io::Result<()> {
        self.metrics.answered("create", word(line));
        if let Line::Refuse { why } = line {
            tracing::warn!(
                namespace = place.namespace,
                pod = place.pod,
                container = place.container,
                why,
                "refused"
            );
        }
        teller.tell(line).await
    }

    async fn decide(&self, place: &Place, asking: &mut Asking) -> Next {
        let whose = match whose(place) {
            Ok(whose) => whose,
            Err(why) => return Next::Tell(Line::Refuse { why }),
        };
        let record = match self.records.read(&whose.uid).await {
            Ok(Some(record)) => record,
            Ok(None) => Record::blank(&whose.namespace, &whose.pod, whose.uid.clone()),
            // It may say that nothing runs here. Somebody has to look.
            Err(error) => return Next::Wait(chain(&error)),
        };
        if self.is_to_get_a_state(&record, place) {
            return self.admitted(&whose, place, asking).await;
        }
        let asked = Asked {
            container: place.container.as_deref(),
            expects: None,
        };
        match answer::answer(&record, asked, Agent::Here, Rules::ALL) {
            Answer::Start { note: true } => Next::Start,
            Answer::Start { note: false } => Next::Tell(Line::Start),
            Answer::NoOp => Next::Tell(Line::NoOp),
            Answer::Refuse(why) => Next::Tell(Line::Refuse { why }),
            Answer::Wait(why) => Next::Wait(why),
            // Only what was admitted begins, and was answered above.
            Answer::Begin { .. } => Next::Wait("it is looked at again".into()),
        }
    }

    /// A container that was told to start may start again without an agent. Noted after it was told: without the note it would only wait.
    async fn note(&self, place: &Place) {
        let (Ok(whose), Some(container)) = (whose(place), place.container.clone()) else {
            return;
        };
        if let Err(error) = self
            .records
            .change(&whose, &Change::Note { container })
            .await
        {
            tracing::warn!(error = %chain(&error), pod = place.pod, "a start was not noted: without an agent this container will wait");
        }
    }
}

fn whose(place: &Place) -> Result<Whose, String> {
    Ok(Whose {
        namespace: place.namespace.clone(),
        pod: place.pod.clone(),
        uid: Uid::try_from(place.uid.as_str())?,
    })
}

/// For a metric.
fn word(line: &Line) -> &'static str {
    match line {
        Line::Wait { .. } => "wait",
        Line::Start => "start",
        Line::NoOp => "no_op",
        Line::Refuse { .. } => "refuse",
        Line::Restore(_) => "restore",
        Line::Done => "done",
        Line::Pass => "pass",
    }
}

#[cfg(test)]
mod tests;
