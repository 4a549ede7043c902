//! `holdfast checkpoint`: asks for a Checkpoint of a pod, and shows how it comes about.

use crate::checkpoint::api::{Checkpoint, CheckpointSpec, LONGEST_TTL, MOST_COPIES, Phase};
use crate::checkpoint::plan::size;
use crate::checkpoint::request::request;
use crate::cli::checkpoints::{Row, row, table};
use crate::cli::pods::{OnePod, seconds};
use crate::cli::table::{Form, answer};
use crate::cli::watching::{Coming, NOBODY, Seen, interrupted, watch};
use crate::kit::error::Error;
use crate::process::asking::{name_of, uid_of};
use crate::process::clients::Clients;
use crate::process::clock;
use kube::{Api, ResourceExt};

/// Ask for a Checkpoint of a pod.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The pod has to run under the RuntimeClass holdfast. It is frozen while its memory is written down, and then runs on. Ctrl-C
ends the watching, not the Checkpoint: kubectl delete checkpoint NAME does that. It ends with 0 only if the Checkpoint is there.

Examples:
  # The pod web of the namespace apps; gone after a day
  holdfast checkpoint apps/web --ttl 24h

  # Under a name, and kept until somebody deletes it
  holdfast checkpoint apps/web --name before-upgrade --pin

  # For a program: where it lies, and its digest
  holdfast checkpoint apps/web -o json | jq '.locations[0]'")]
pub struct MakeCheckpoint {
    /// Of which pod.
    #[command(flatten)]
    pub pod: OnePod,
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
    /// Keep it, whatever --ttl says, and however many newer ones there are
    #[arg(long)]
    pub pin: bool,
    /// Only ask for it, and do not wait
    #[arg(long)]
    pub no_wait: bool,
    /// How to print the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Form,
}

fn deadline(text: &str) -> Result<u32, String> {
    seconds(text, 3600)
}

fn ttl(text: &str) -> Result<u32, String> {
    seconds(text, LONGEST_TTL)
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
    let made = request(&client, &wanted).await?;
    let seen = if is_waiting {
        let api = Api::namespaced(client, &namespace);
        watch(&api, made, interrupted()).await?
    } else {
        Seen::only(made)
    };
    if let Some(farewell) = seen.farewell() {
        eprint!("{farewell}");
    }
    let told = row(&seen.last);
    answer(output, &told, people)?;
    Ok(!is_waiting || told.phase == Phase::Succeeded)
}

/// What is asked for.
fn checkpoint(arguments: MakeCheckpoint) -> Checkpoint {
    let MakeCheckpoint {
        pod,
        name,
        containers,
        deadline,
        copies,
        ttl,
        pin,
        no_wait: _,
        output: _,
    } = arguments;
    let (namespace, pod) = pod.parts();
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

impl Coming for Checkpoint {
    fn is_over(&self) -> bool {
        let phase = row(self).phase;
        matches!(phase, Phase::Succeeded | Phase::Failed | Phase::Lost)
    }

    fn is_frozen(&self) -> bool {
        row(self).phase == Phase::Frozen
    }

    fn line(&self, is_long: bool) -> String {
        let told = row(self);
        let frozen = told
            .frozen_millis
            .map(|millis| format!("frozen for {millis} ms"));
        let nobody = told.phase == Phase::Pending && is_long;
        let said = if nobody {
            Some(NOBODY.to_owned())
        } else {
            told.message
        };
        let phase = format!("{:<10}", format!("{:?}", told.phase));
        let parts = [Some(phase), told.bytes.map(size), frozen, said];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        parts.join("  ").trim_end().to_owned()
    }
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
