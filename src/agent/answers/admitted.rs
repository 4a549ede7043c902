//! Containers of pods that are to get a state. What is answered is decided in `target`; here is what has to be done before it is said.
//!
//! ```text
//! begins ─► who asked is in the attempt's cgroup ─► the token is spent, on disk ─► volumes, layer ─► restore
//! ```
//!
//! Whatever fails on the way fails the container: then nothing of it ran, which is shown by what it leaves behind.

use super::{Answers, Asking, Next};
use crate::agent::attempt::{Asker, Attempt};
use crate::agent::cut::Engine;
use crate::agent::host::Host;
use crate::agent::preparing::Preparing;
use crate::agent::records::Records;
use crate::agent::target::{self, Reply};
use crate::agent::targets::Targets;
use crate::agent::waiting::Ticket;
use crate::hold::change::Change;
use crate::hold::record::{Record, What};
use crate::hold::shelf::Whose;
use crate::kit::error::chain;
use crate::kit::faults::around;
use crate::oci::command_line::Dialect;
use crate::oci::failure::Failure;
use crate::oci::files;
use crate::oci::place::Place;
use crate::runtime::api::{Evidence, Line, Seen, evidence_path};
use crate::write_steps;
use std::sync::Arc;

write_steps! {
    /// Who asked for a container goes into its attempt's cgroup.
    TAKE_IN,
}

/// A container that is to begin.
struct Beginning {
    host: Host,
    records: Records,
    targets: Targets,
    whose: Whose,
    place: Place,
    attempt: Attempt,
    asker: Arc<Asker>,
    change: Change,
    /// The attempt's number, and from what.
    from: (u32, What),
}

/// It does not begin now.
struct NotNow(String);

impl Answers {
    /// Whether this pod is to get a state, or had one, or waits for one.
    pub(super) fn is_to_get_a_state(&self, record: &Record, place: &Place) -> bool {
        let is_named = || {
            let orders = self.targets.orders();
            orders.naming(&place.namespace, &place.uid).is_some()
        };
        record.admission.is_some()
            || place.expects.is_some()
            || (record.hold.is_none() && record.started.is_empty() && is_named())
    }

    pub(super) async fn admitted(&self, whose: &Whose, place: &Place, asking: &mut Asking) -> Next {
        if let Some(name) = &place.container {
            let waiting = self.targets.waiting();
            let enter = || waiting.enter(&place.uid, name, asking.pid);
            asking.ticket.get_or_insert_with(enter);
        }
        let look = match self.targets.look(whose, place.expects.as_deref()).await {
            Ok(look) => look,
            Err(why) => return Next::Wait(why),
        };
        let attempt = self.attempt(place);
        let cgroup = attempt
            .as_ref()
            .map(|attempt| attempt.cgroup.to_string_lossy());
        let cgroup = cgroup.unwrap_or_default();
        let place_of = (cgroup.as_ref(), place.id.as_str());
        let container = place.container.as_deref();
        let reply = target::reply(&look.seen(), container, place.expects.as_deref(), place_of);
        match reply {
            Reply::Start(None) => Next::Tell(Line::Start),
            Reply::Start(Some(change)) => match self.records.change(whose, &change).await {
                Ok(_) => Next::Tell(Line::Start),
                Err(error) => Next::Wait(chain(&error)),
            },
            Reply::NoOp => Next::Tell(Line::NoOp),
            Reply::Refuse(why) => Next::Tell(Line::Refuse { why }),
            Reply::Wait(why) => Next::Wait(why),
            Reply::Begin(change, what) => {
                let number = look.claim().map_or(0, |(number, _)| number);
                let Some(asker) = asking.asker.clone() else {
                    return Next::Wait("it is not known which process asks for it".into());
                };
                let attempt = match attempt {
                    Ok(attempt) => attempt.clone(),
                    Err(failure) => return Next::Wait(failure.to_string()),
                };
                let beginning = Beginning {
                    host: self.host.clone(),
                    records: self.records.clone(),
                    targets: self.targets.clone(),
                    whose: whose.clone(),
                    place: place.clone(),
                    attempt,
                    asker,
                    change,
                    from: (number, what),
                };
                // Whoever asked may go away meanwhile; what was begun is brought to its end all the same.
                let ticket = asking.ticket.take();
                match tokio::spawn(beginning.begin(ticket)).await {
                    Ok(Ok(line)) => Next::Tell(line),
                    Ok(Err(NotNow(why))) => Next::Wait(why),
                    Err(error) => Next::Wait(error.to_string()),
                }
            }
        }
    }

    /// What is to be known of a container before it is begun.
    fn attempt(&self, place: &Place) -> Result<Attempt, Failure> {
        let engine = Engine::find(&self.host, self.prefixes);
        let is_runc = engine.is_ok_and(|engine| Dialect::of(&engine.real) == Dialect::Runc);
        Attempt::of(&self.host, place, is_runc)
    }
}

impl Beginning {
    /// Spends the token, and prepares what it was spent for.
    async fn begin(self, ticket: Option<Ticket>) -> Result<Line, NotNow> {
        let _alone = self.targets.lock(self.whose.uid.as_str()).await;
        let (host, attempt) = (self.host.clone(), self.attempt.clone());
        let asker = Arc::clone(&self.asker);
        let taken = tokio::task::spawn_blocking(move || {
            around(&TAKE_IN, || attempt.take_in(&host, &asker))
        });
        let taken = taken.await.map_err(|error| NotNow(error.to_string()))?;
        taken.map_err(|failure| NotNow(failure.to_string()))?;
        // From here on it counts as begun, not as waiting: whoever looks sees its process in the attempt's cgroup.
        drop(ticket);
        let changed = self.records.change(&self.whose, &self.change).await;
        changed.map_err(|error| NotNow(chain(&error)))?;
        let (number, what) = &self.from;
        let name = match what {
            What::Fresh => return Ok(Line::Start),
            What::Generation(name) => name,
        };
        match self.prepare(*number, name).await {
            Ok(line) => Ok(line),
            Err(failure) => {
                self.show_that_nothing_ran();
                Ok(Line::Refuse {
                    why: failure.to_string(),
                })
            }
        }
    }

    /// Whoever asked was told nothing that it could begin with; it forgets the container, and nobody else would say so.
    fn show_that_nothing_ran(&self) {
        let shown = self.host.boot().and_then(|boot| {
            let evidence = Evidence {
                place: self.place.clone(),
                boot,
                seen: Seen::NoState,
            };
            let path = evidence_path(&self.host.run(), &self.place.id);
            let text = serde_json::to_vec(&evidence)
                .map_err(|error| Failure::at("describe", &path, error))?;
            files::put(&path, &text)
        });
        if let Err(failure) = shown {
            tracing::warn!(%failure, pod = self.place.pod, "it counts as if it had run");
        }
    }

    async fn prepare(&self, number: u32, name: &str) -> Result<Line, Failure> {
        self.targets.is_same_image(&self.whose, &self.place).await?;
        let (namespace, uid) = (&self.whose.namespace, self.whose.uid.as_str());
        let generation = self.targets.generation(namespace, uid, name).await?;
        let (host, place) = (self.host.clone(), self.place.clone());
        let prepared = tokio::task::spawn_blocking(move || {
            let preparing = Preparing {
                host: &host,
                place: &place,
                generation: &generation,
                attempt: number,
            };
            preparing.prepare()
        });
        let prepared = prepared.await;
        prepared
            .map_err(|error| Failure::new(error.to_string()))?
            .map(Line::Restore)
    }
}
