//! The container runtime of the node that we are on.

use super::commands;
use super::containerd::Containerd;
use super::crio;
use super::record::Engine;
use super::service::Service;
use super::values::read;
use crate::cri::client::Cri;
use crate::kit::error::Error;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// To start a pod's sandbox a runtime may have to fetch an image first.
const CALL: Duration = Duration::from_secs(90);

/// What an installation is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The host's root.
    pub root: PathBuf,
    /// Where to put our files; tried out if it is not said.
    pub prefix: Option<PathBuf>,
    /// Whose handler; found out if it is not said.
    pub engine: Option<Engine>,
    /// containerd's configuration file; found out if it is not said.
    pub config: Option<PathBuf>,
    /// The runtime's socket; found out if it is not said.
    pub socket: Option<PathBuf>,
    /// What starts the runtime again.
    pub restart_command: Option<String>,
    /// How long it may take until it answers again.
    pub restart_limit: Duration,
}

/// A node's container runtime, and how to change it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) service: Service,
    pub(crate) means: Means,
}

/// What is particular to each runtime.
#[derive(Debug, Clone)]
pub(crate) enum Means {
    Containerd(Containerd),
    Crio {
        program: Option<PathBuf>,
        drop_in: PathBuf,
    },
}

impl Node {
    /// Finds the one that runs here.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn find(settings: &Settings) -> Result<Self, Error> {
        let Settings {
            engine,
            config,
            socket,
            ..
        } = settings;
        let containerd = || Containerd::find(config.as_deref(), socket.as_deref());
        let has_crio = Path::new(crio::SOCKET).exists();
        let is_containerd = |found: &Containerd| found.socket.exists() || !has_crio;
        let found = match engine {
            Some(Engine::Crio) => None,
            Some(Engine::Containerd) => containerd(),
            None => containerd().filter(is_containerd),
        };
        let (engine, means, path) = match found {
            Some(found) => {
                let path = found.socket.clone();
                (Engine::Containerd, Means::Containerd(found), path)
            }
            None if *engine == Some(Engine::Crio) || (engine.is_none() && has_crio) => {
                let program = commands::find("crio");
                let path = socket.clone().unwrap_or_else(|| crio::SOCKET.into());
                (
                    Engine::Crio,
                    Means::Crio {
                        program,
                        drop_in: crio::DROP_IN.into(),
                    },
                    path,
                )
            }
            None => {
                return Err(Error::Invalid {
                    what: "this host".into(),
                    why: "neither containerd nor CRI-O was found on it: name the runtime's socket with --cri-socket, and with --root where the host's / is mounted".into(),
                });
            }
        };
        Ok(Self {
            service: Service {
                engine,
                cri: Cri::new(&path, CALL),
                command: settings.restart_command.clone(),
                limit: settings.restart_limit,
            },
            means,
        })
    }

    /// What `crio config` prints; nothing if it cannot be asked.
    pub(crate) async fn crio_config(program: Option<&PathBuf>) -> Value {
        let Some(program) = program else {
            return Value::Null;
        };
        let said = commands::ask(program, &["config"])
            .await
            .unwrap_or_default();
        read("CRI-O's configuration", &said).unwrap_or_default()
    }
}
