//! `holdfast migrate`: asks for a Migration of a pod, and shows how it comes about.

use crate::checkpoint::plan::size;
use crate::cli::migrations::{Row, row, table};
use crate::cli::pods::{OnePod, seconds};
use crate::cli::table::{Form, answer};
use crate::cli::watching::{Coming, NOBODY, Seen, interrupted, watch};
use crate::kit::error::Error;
use crate::migration::api::{Migration, MigrationSpec, OnFailure, Phase, PhaseTime, Stage};
use crate::migration::request::request;
use crate::process::asking::{name_of, uid_of};
use crate::process::clients::Clients;
use crate::process::clock;
use clap::ValueEnum;
use kube::{Api, ResourceExt};
use std::fmt::Write;

/// The longest time until a freeze that can be said here.
const LONGEST_DEADLINE: u32 = 86_400;

/// Ask for a Migration of a pod.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The pod has to run under the RuntimeClass holdfast, and to belong to a Deployment or to nobody. A Deployment's goes like this: a pod that
is to take its place is made ready on the target; then the pod is frozen, its state is sent and restored there, and only then the frozen
one is deleted. If that fails before the state runs elsewhere, the pod runs on where it was.

Ctrl-C ends the watching, not the move: kubectl delete migration NAME cancels it. Exit codes: 0 it has moved (with --no-wait: it was asked
for), 1 it has not, 2 a wrong flag.

Examples:
  # The pod web-5d4-x7k of the namespace apps, to a node that is chosen
  holdfast migrate apps/web-5d4-x7k

  # To this node, and frozen within two minutes or not at all
  holdfast migrate apps/web-5d4-x7k --to node2 --deadline 2m

  # The first pod of a Deployment's
  holdfast migrate $(kubectl get pods -n apps -l app=web -o name | head -1 | cut -d/ -f2) -n apps

  # For a program: where it runs now, or why it does not
  holdfast migrate apps/web-5d4-x7k -o json | jq '{phase, to, targetPod, frozenMillis, message}'")]
pub struct Migrate {
    /// Which pod.
    #[command(flatten)]
    pub pod: OnePod,
    /// To this node [default: one is chosen]
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
    /// What to call the Migration [default: the pod's name and the time]
    #[arg(long)]
    pub name: Option<String>,
    /// How long it may take until the pod is frozen; then it is given up, and nothing was touched
    #[arg(long, default_value = "10m", value_parser = deadline)]
    pub deadline: u32,
    /// What happens when the state ran on the target, was lost there, and cannot be restored again
    #[arg(long, value_enum, default_value_t)]
    pub on_failure: Fallback,
    /// Only ask for it, and do not wait
    #[arg(long)]
    pub no_wait: bool,
    /// How to print the answer
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Form,
}

/// What happens when a state cannot be restored any more, and its pod cannot run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Fallback {
    /// Nothing starts, and a person decides
    #[default]
    Wait,
    /// It starts from the state before, if there is one
    Older,
    /// It starts fresh
    Fresh,
}

impl From<Fallback> for OnFailure {
    fn from(said: Fallback) -> Self {
        match said {
            Fallback::Wait => Self::Wait,
            Fallback::Older => Self::Older,
            Fallback::Fresh => Self::Fresh,
        }
    }
}

fn deadline(text: &str) -> Result<u32, String> {
    seconds(text, LONGEST_DEADLINE)
}

/// Asks, waits, and tells; false if the pod has not moved.
///
/// # Errors
/// It cannot be asked for, or was deleted meanwhile.
pub async fn run(arguments: Migrate) -> Result<bool, Error> {
    let (output, is_waiting) = (arguments.output, !arguments.no_wait);
    let client = Clients::infer().await?.api;
    let wanted = migration(arguments);
    let namespace = wanted.namespace().unwrap_or_default();
    let pod = wanted.spec.pod_name.clone().unwrap_or_default();
    // A name with a mistake in it is told at once, and leaves no Migration behind.
    uid_of(&client, (&namespace, &pod)).await?;
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
fn migration(arguments: Migrate) -> Migration {
    let Migrate {
        pod,
        to,
        name,
        deadline,
        on_failure,
        no_wait: _,
        output: _,
    } = arguments;
    let (namespace, pod) = pod.parts();
    let name = name.unwrap_or_else(|| name_of(&pod, clock::now()));
    let spec = MigrationSpec {
        pod_name: Some(pod),
        destination_node: to,
        deadline: Some(format!("{deadline}s")),
        on_failure: on_failure.into(),
        ..MigrationSpec::default()
    };
    let mut migration = Migration::new(&name, spec);
    migration.metadata.namespace = Some(namespace);
    migration
}

impl Coming for Migration {
    fn is_over(&self) -> bool {
        // What was decided is told before both nodes have done it: a pod that is to run on may still be frozen.
        let status = self.status.as_ref();
        status.is_some_and(|status| status.stage == Stage::Closed)
    }

    fn is_frozen(&self) -> bool {
        matches!(
            row(self).phase,
            Phase::Frozen | Phase::Dumped | Phase::Copied | Phase::Verified
        )
    }

    fn line(&self, is_long: bool) -> String {
        let told = row(self);
        let nobody = told.phase == Phase::Pending && is_long;
        let nobody = nobody.then(|| NOBODY.to_owned());
        let phase = format!("{:<11}", format!("{:?}", told.phase));
        let parts = [Some(phase), told.bytes.map(size), told.message.or(nobody)];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        parts.join("  ").trim_end().to_owned()
    }
}

fn people(told: &Row) -> String {
    let mut text = table(std::slice::from_ref(told), clock::now());
    let message = told.message.clone().filter(|message| !message.is_empty());
    for part in [message, times(&told.times), next(told)]
        .into_iter()
        .flatten()
    {
        // A text takes whatever is written to it.
        let _written = write!(text, "\n{part}\n");
    }
    text
}

/// How long after the one before it each phase was reached.
fn times(times: &[PhaseTime]) -> Option<String> {
    let first = times.first()?;
    let after = times.iter().zip(times.get(1..)?).map(|(before, time)| {
        let after = time.at.0.duration_since(before.at.0).as_secs_f64();
        format!("{:?} after {after:.2} s", time.phase)
    });
    let all: Vec<_> = std::iter::once(format!("{:?}", first.phase))
        .chain(after)
        .collect();
    Some(all.join(", then "))
}

/// What to look at now.
fn next(row: &Row) -> Option<String> {
    let (name, namespace) = (&row.name, &row.namespace);
    Some(match (row.phase, &row.target_pod) {
        (Phase::Succeeded, Some(pod)) => {
            format!("Next: kubectl get pod {pod} -n {namespace} -o wide")
        }
        // It was never found out what is to move.
        (Phase::Failed, _) if row.from.is_none() => {
            "Nothing was touched. Change what it says, and ask again: a Migration is tried once."
                .to_owned()
        }
        (Phase::RolledBack | Phase::Failed, _) => format!(
            "Next: kubectl describe migration {name} -n {namespace}, and the agents' logs: kubectl logs -n holdfast-system -l app.kubernetes.io/component=agent --prefix --tail=50"
        ),
        (Phase::Succeeded, None) => return None,
        _ => format!("Next: kubectl get migration {name} -n {namespace} --watch"),
    })
}

#[cfg(test)]
mod tests;
