//! `holdfast checkpoint`: asks for a Checkpoint of a pod, and shows how it comes about.

mod view;

use crate::checkpoint::api::{Checkpoint, CheckpointSpec, LONGEST_TTL, MOST_COPIES, Phase};
use crate::checkpoint::request::{missing, name_of, request, uid_of};
use crate::cli::checkpoints::{Row, row, table};
use crate::cli::table::{Form, answer};
use crate::kit::error::Error;
use crate::process::clients::Clients;
use crate::process::clock;
use crate::process::flags::duration;
use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use kube::{Api, ResourceExt};
use std::pin::pin;
use std::time::Duration;
use view::View;

/// How often the freeze clock moves.
const TICK: Duration = Duration::from_millis(100);

/// Ask for a Checkpoint of a pod.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The pod has to run under the RuntimeClass holdfast. It is frozen while its memory is written down, and then runs on. Whoever stops
this program stops watching, not the Checkpoint: kubectl delete checkpoint NAME does that. It ends with 1 if the Checkpoint failed.

Examples:
  # The pod web of the namespace apps; gone after a day
  holdfast checkpoint apps/web --ttl 24h

  # Under a name, and kept until somebody deletes it
  holdfast checkpoint apps/web --name before-upgrade --pin

  # For a program: where it lies, and its digest
  holdfast checkpoint apps/web -o json | jq '.locations[0]'")]
pub struct MakeCheckpoint {
    /// The pod, as NAMESPACE/NAME or NAME
    #[arg(value_name = "NAMESPACE/NAME", value_parser = pod_name)]
    pub pod: String,
    /// Namespace of the pod, where its name comes without one
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// What to call the Checkpoint [default: the pod's name and the time]
    #[arg(long)]
    pub name: Option<String>,
    /// Only this container; may be said several times. All are frozen in any case
    #[arg(long = "container", short, value_name = "NAME")]
    pub containers: Vec<String>,
    /// How long the pod may be frozen; then it is given up, and the pod runs on
    #[arg(long, default_value = "120s", value_parser = deadline)]
    pub deadline: u32,
    /// Keep it on so many other nodes too
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=i64::from(MOST_COPIES)))]
    pub copies: u32,
    /// Delete it, and its data, so long after it was taken
    #[arg(long, value_parser = ttl)]
    pub ttl: Option<u32>,
    /// Keep it, whatever --ttl says
    #[arg(long)]
    pub pin: bool,
    /// Only ask for it, and do not wait
    #[arg(long)]
    pub no_wait: bool,
    /// How to print the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Form,
}

/// One that could be a pod's: an empty one would be taken for all of them.
fn pod_name(text: &str) -> Result<String, String> {
    let parts: Vec<_> = text.split('/').collect();
    let is_name = |part: &&str| {
        let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(is_fit)
    };
    if parts.len() > 2 || !parts.iter().all(is_name) {
        return Err(format!(
            "{text:?} is no pod's name; write it like apps/web, or web with --namespace apps"
        ));
    }
    Ok(text.to_owned())
}

fn deadline(text: &str) -> Result<u32, String> {
    seconds(text, 3600)
}

fn ttl(text: &str) -> Result<u32, String> {
    seconds(text, LONGEST_TTL)
}

/// Whole seconds, at least one.
fn seconds(text: &str, most: u32) -> Result<u32, String> {
    let length = duration(text)?;
    let whole = u32::try_from(length.as_secs()).unwrap_or(u32::MAX);
    if length.subsec_nanos() > 0 || whole == 0 || whole > most {
        return Err(format!(
            "{text:?} cannot be used: write whole seconds, from 1s to {most}s, like 90s or 1h30m"
        ));
    }
    Ok(whole)
}

/// Asks, waits, and tells; false if the Checkpoint failed.
///
/// # Errors
/// It cannot be asked for, or was deleted meanwhile.
pub async fn run(arguments: MakeCheckpoint) -> Result<bool, Error> {
    let (output, is_waiting) = (arguments.output, !arguments.no_wait);
    let client = Clients::infer().await?.api;
    let mut wanted = checkpoint(arguments);
    let namespace = wanted.namespace().unwrap_or_default();
    let pod = wanted.spec.pod_name.clone();
    wanted.spec.pod_uid = uid_of(&client, (&namespace, &pod)).await?;
    let mut made = request(&client, &wanted).await?;
    if is_waiting {
        let api = Api::namespaced(client, &namespace);
        made = watch(&api, made, &mut View::new()).await?;
    }
    let told = row(&made);
    answer(output, &told, people)?;
    Ok(!is_waiting || told.phase == Phase::Succeeded)
}

/// What is asked for.
fn checkpoint(arguments: MakeCheckpoint) -> Checkpoint {
    let MakeCheckpoint {
        pod,
        namespace,
        name,
        containers,
        deadline,
        copies,
        ttl,
        pin,
        no_wait: _,
        output: _,
    } = arguments;
    let (namespace, pod) = match pod.split_once('/') {
        Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
        None => (namespace, pod),
    };
    let name = name.unwrap_or_else(|| name_of(&pod, clock::now()));
    let spec = CheckpointSpec {
        pod_name: pod,
        pod_uid: None,
        containers,
        deadline_seconds: deadline,
        copies,
        ttl_seconds: ttl,
        pinned: pin,
    };
    let mut checkpoint = Checkpoint::new(&name, spec);
    checkpoint.metadata.namespace = Some(namespace);
    checkpoint
}

/// Shows it until it has come to something. Watches that break are begun again.
async fn watch(
    api: &Api<Checkpoint>,
    made: Checkpoint,
    view: &mut View,
) -> Result<Checkpoint, Error> {
    let name = made.name_any();
    let mut changes = pin!(watch_object(api.clone(), &name).default_backoff());
    let mut ticks = tokio::time::interval(TICK);
    let mut last = made;
    while !is_over(&last) {
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(Some(now))) => last = now,
                Some(Ok(None)) => return Err(gone(&name, "it was deleted")),
                Some(Err(error)) => broken(error)?,
                None => return Err(gone(&name, "its watch ended")),
            },
            _ = ticks.tick() => {}
        }
        view.show(&last);
    }
    view.end();
    Ok(last)
}

fn is_over(checkpoint: &Checkpoint) -> bool {
    let phase = checkpoint.status.as_ref().map(|status| status.phase);
    matches!(phase, Some(Phase::Succeeded | Phase::Failed | Phase::Lost))
}

fn gone(name: &str, why: &str) -> Error {
    Error::Invalid {
        what: format!("checkpoint {name}"),
        why: format!("{why} before it had come to anything"),
    }
}

/// What no further try would help; all else is tried again.
fn broken(error: watcher::Error) -> Result<(), Error> {
    let (watcher::Error::InitialListFailed(source) | watcher::Error::WatchStartFailed(source)) =
        error
    else {
        return Ok(());
    };
    let error = Error::api("watch", "checkpoints", source);
    if error.is_forbidden() || error.is_lost_identity() {
        return Err(missing(error));
    }
    Ok(())
}

fn people(told: &Row) -> String {
    let message = told.message.as_deref().unwrap_or_default();
    let message = if message.is_empty() {
        String::new()
    } else {
        format!("\n{message}\n")
    };
    table(std::slice::from_ref(told), clock::now()) + &message
}

#[cfg(test)]
mod tests;
