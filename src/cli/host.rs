//! `holdfast host`: what is put on a node, looked at, and taken away again.

use crate::cli::table::{Form, answer, columns, lines};
use crate::host::check::check;
use crate::host::facts::{Fact, Verdict, is_fine};
use crate::host::fitness::Unfit;
use crate::host::install::{Installed, Sources, install};
use crate::host::labels::tell;
use crate::host::node::Settings;
use crate::host::record::Engine;
use crate::host::uninstall::{Uninstalled, uninstall};
use crate::kit::error::Error;
use crate::process::clients::Clients;
use crate::process::flags::duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// After so long it is looked at once more.
const AGAIN: Duration = Duration::from_secs(3);

/// What to do with the host.
#[derive(Debug, Clone, Subcommand)]
pub enum Host {
    /// Put the runtime on this host, and add the handler holdfast to containerd or CRI-O; a second time changes nothing
    Install(Install),
    /// Show what this host is and has, and what is missing; ends with 1 if something has to be changed
    Check(Place),
    /// Take everything away again, and give the container runtime its former configuration back
    Uninstall(Place),
}

/// Which host.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Where the host's / is mounted, for a container
    #[arg(
        long,
        env = "HOLDFAST_HOST_ROOT",
        default_value = "/",
        value_name = "DIR"
    )]
    pub root: PathBuf,
    /// Where our files go on the host [default: the first of some directories that takes a program and lets it run]
    #[arg(long, env = "HOLDFAST_HOST_PREFIX", value_name = "DIR")]
    pub prefix: Option<PathBuf>,
    /// The host's container runtime [default: the one that runs]
    #[arg(long, env = "HOLDFAST_HOST_ENGINE")]
    pub engine: Option<Engine>,
    /// containerd's configuration file [default: the one that it was started with, else /etc/containerd/config.toml]
    #[arg(long, env = "HOLDFAST_HOST_CONTAINERD_CONFIG", value_name = "FILE")]
    pub containerd_config: Option<PathBuf>,
    /// The container runtime's socket [default: the one that it was started with, else the usual one]
    #[arg(long, env = "HOLDFAST_HOST_CRI_SOCKET", value_name = "FILE")]
    pub cri_socket: Option<PathBuf>,
    /// A line for the host's shell that starts the container runtime again [default: systemctl restart containerd, or crio]
    #[arg(long, env = "HOLDFAST_HOST_RESTART_COMMAND", value_name = "LINE")]
    pub restart_command: Option<String>,
    /// How long the container runtime may take to answer again
    #[arg(long, env = "HOLDFAST_HOST_RESTART_LIMIT", default_value = "60s", value_parser = duration)]
    pub restart_limit: Duration,
    /// Say on this Node of the cluster what was found
    #[arg(long, env = "HOLDFAST_NODE", value_name = "NAME")]
    pub node: Option<String>,
    /// What keeps new pods, all of them, away from that Node where something has to be changed
    #[arg(
        long,
        env = "HOLDFAST_HOST_UNFIT_TAINT",
        value_enum,
        default_value_t,
        value_name = "EFFECT"
    )]
    pub unfit_taint: Unfit,
    /// In which form to answer
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Form,
}

/// From where.
#[derive(Debug, Clone, Args)]
pub struct Install {
    /// Which host
    #[command(flatten)]
    pub place: Place,
    /// The runtime's program [default: holdfast-runtime beside this program]
    #[arg(long, env = "HOLDFAST_HOST_RUNTIME_BINARY", value_name = "FILE")]
    pub runtime_binary: Option<PathBuf>,
    /// runc and CRIU for hosts that lack them [default: ../share/holdfast/node from this program, as in the image]
    #[arg(long, env = "HOLDFAST_HOST_PARTS", value_name = "DIR")]
    pub parts: Option<PathBuf>,
    /// Do not start a container under the handler to see that it works
    #[arg(long)]
    pub skip_trial: bool,
}

/// Does what was asked for; false where something has to be changed.
///
/// # Errors
/// What could not be done, and what to change.
pub async fn run(host: Host) -> Result<bool, Error> {
    match host {
        Host::Install(arguments) => run_install(arguments).await.map(|()| true),
        Host::Check(place) => run_check(&place).await,
        Host::Uninstall(place) => run_uninstall(&place).await.map(|()| true),
    }
}

async fn run_install(arguments: Install) -> Result<(), Error> {
    let Install {
        place,
        runtime_binary,
        parts,
        skip_trial,
    } = arguments;
    let own =
        std::env::current_exe().map_err(|source| Error::io("find", "this program", source))?;
    let beside = own.with_file_name("holdfast-runtime");
    let above = own
        .parent()
        .and_then(std::path::Path::parent)
        .map(PathBuf::from)
        .unwrap_or_default();
    let sources = Sources {
        program: runtime_binary.unwrap_or(beside),
        parts: parts.unwrap_or_else(|| above.join("share/holdfast/node")),
        with_trial: !skip_trial,
    };
    // Whoever cannot be told of it shall be known before anything is changed.
    let clients = clients(&place).await?;
    let settings = settings(&place);
    let installed = install(&settings, &sources).await?;
    if let (Some(clients), Some(node)) = (clients, &place.node) {
        let facts = certain(&settings).await?;
        tell(&clients, node, Some(&facts), place.unfit_taint).await?;
    }
    answer(place.output, &installed, installed_text)
}

async fn run_check(place: &Place) -> Result<bool, Error> {
    let clients = clients(place).await?;
    let facts = certain(&settings(place)).await?;
    if let (Some(clients), Some(node)) = (clients, &place.node) {
        tell(&clients, node, Some(&facts), place.unfit_taint).await?;
    }
    answer(place.output, &facts, |facts| facts_text(facts))?;
    Ok(is_fine(&facts))
}

/// What is wrong is looked at again: a runtime may just be starting, or a machine be busy.
async fn certain(settings: &Settings) -> Result<Vec<Fact>, Error> {
    let facts = check(settings).await?;
    if is_fine(&facts) {
        return Ok(facts);
    }
    tokio::time::sleep(AGAIN).await;
    check(settings).await
}

async fn run_uninstall(place: &Place) -> Result<(), Error> {
    let clients = clients(place).await?;
    let gone = uninstall(&settings(place)).await?;
    if let (Some(clients), Some(node)) = (clients, &place.node) {
        tell(&clients, node, None, place.unfit_taint).await?;
    }
    answer(place.output, &gone, uninstalled_text)
}

async fn clients(place: &Place) -> Result<Option<Clients>, Error> {
    match place.node {
        Some(_) => Clients::infer().await.map(Some),
        None => Ok(None),
    }
}

fn settings(place: &Place) -> Settings {
    Settings {
        root: place.root.clone(),
        prefix: place.prefix.clone(),
        engine: place.engine,
        config: place.containerd_config.clone(),
        socket: place.cri_socket.clone(),
        restart_command: place.restart_command.clone(),
        restart_limit: place.restart_limit,
    }
}

fn installed_text(installed: &Installed) -> String {
    let again = if installed.restarted {
        "was started again"
    } else {
        "was not started again: nothing changed for it"
    };
    let criu = installed.criu.as_deref().unwrap_or("none");
    let rows = [
        ("installed", installed.prefix.display().to_string()),
        (
            "handler",
            format!("holdfast, in {}, which {again}", installed.engine.name()),
        ),
        ("runtime", installed.runtime.clone()),
        ("criu", criu.to_owned()),
    ];
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
    let notes = lines("note: ", &installed.notes);
    columns("", &rows) + &notes
}

fn uninstalled_text(gone: &Uninstalled) -> String {
    match &gone.prefix {
        None => "Nothing is installed.\n".to_owned(),
        Some(prefix) if gone.restarted => format!(
            "Everything is gone from {}; the container runtime was started again.\n",
            prefix.display()
        ),
        Some(prefix) => format!("Everything is gone from {}.\n", prefix.display()),
    }
}

fn facts_text(facts: &[Fact]) -> String {
    let rows = facts.iter().map(|fact| {
        let verdict = match fact.verdict {
            Verdict::Fine => "ok",
            Verdict::Note => "note",
            Verdict::Bad => "BAD",
        };
        vec![
            verdict.to_owned(),
            fact.name.to_owned(),
            fact.value.clone(),
            fact.says.clone(),
        ]
    });
    columns("", &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_has_to_be_changed() {
        let facts = [
            Fact {
                name: "engine",
                value: "containerd v2.2.3".into(),
                verdict: Verdict::Fine,
                says: String::new(),
            },
            Fact {
                name: "criu",
                value: "none".into(),
                verdict: Verdict::Bad,
                says: "it is too old".into(),
            },
        ];
        assert_eq!(
            facts_text(&facts),
            "ok   engine  containerd v2.2.3\nBAD  criu    none               it is too old\n"
        );
    }

    #[test]
    fn an_installation_that_changed_nothing_says_so() {
        let installed = Installed {
            prefix: "/opt/holdfast".into(),
            engine: Engine::Containerd,
            runtime: "runc 1.4.0 (/usr/sbin/runc)".into(),
            criu: None,
            restarted: false,
            notes: vec!["one".into()],
        };
        let text = installed_text(&installed);
        assert!(
            text.contains("nothing changed") && text.ends_with("note: one\n"),
            "{text}"
        );
    }
}
