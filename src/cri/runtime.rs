//! The calls of the CRI that we use, with their messages.

use super::client::Cri;
use crate::kit::error::Error;
use crate::kit::protobuf::{self, Message, fields};
use serde_json::Value;

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// `containerd` or `cri-o`.
    pub name: String,
    /// For example `v1.7.24`.
    pub version: String,
}

/// How the runtime is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether it can run containers.
    pub is_ready: bool,
    /// What it says about that.
    pub said: String,
    /// The handlers that it knows; nothing if it does not say.
    pub handlers: Option<Vec<String>>,
}

/// A pod's sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Its id.
    pub id: String,
    /// Its pod's namespace.
    pub namespace: String,
    /// Its pod's name.
    pub name: String,
    /// Its pod's uid.
    pub uid: String,
    /// Under which handler it runs; empty for the default one.
    pub handler: String,
    /// Whether it is there to run containers; one that is not is but a record of its pod.
    pub is_ready: bool,
}

/// What kind of sandbox to run: one in the node's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Its pod's namespace.
    pub namespace: &'a str,
    /// Its pod's name.
    pub name: &'a str,
    /// Its pod's uid.
    pub uid: &'a str,
    /// Under which handler.
    pub handler: &'a str,
    /// Below which cgroup; empty for the runtime's choice.
    pub cgroup: &'a str,
}

const NETWORK_OF_NODE: u64 = 2;
const READY: u64 = 0;
const EXITED: u64 = 2;

pub(super) fn read<T>(what: &str, read: Option<T>) -> Result<T, Error> {
    read.ok_or_else(|| Error::Invalid {
        what: format!("the container runtime's answer to {what}"),
        why: "it is no message of the CRI".into(),
    })
}

impl Cri {
    /// Who answers.
    ///
    /// # Errors
    /// Nobody answers, or with a refusal.
    pub async fn version(&self) -> Result<Version, Error> {
        let answer = self.call("Version", Message::default()).await?;
        let fields = read("Version", fields(&answer))?;
        Ok(Version {
            name: protobuf::text(&fields, 2),
            version: protobuf::text(&fields, 3),
        })
    }

    /// How the runtime is, and which handlers it knows.
    ///
    /// # Errors
    /// Nobody answers, or with a refusal.
    pub async fn status(&self) -> Result<Status, Error> {
        let answer = self.call("Status", Message::default().number(1, 1)).await?;
        read("Status", status(&answer))
    }

    /// All sandboxes, also those that have ended.
    ///
    /// # Errors
    /// Nobody answers, or with a refusal.
    pub async fn sandboxes(&self) -> Result<Vec<Sandbox>, Error> {
        let answer = self.call("ListPodSandbox", Message::default()).await?;
        read("ListPodSandbox", sandboxes(&answer))
    }

    /// The ids of sandboxes that have a container which has not ended.
    ///
    /// # Errors
    /// Nobody answers, or with a refusal.
    pub async fn occupied(&self) -> Result<Vec<String>, Error> {
        let answer = self.call("ListContainers", Message::default()).await?;
        read("ListContainers", occupied(&answer))
    }

    /// Runs a sandbox; its id.
    ///
    /// # Errors
    /// Nobody answers, or with a refusal.
    pub async fn run_sandbox(&self, wanted: &Wanted<'_>) -> Result<String, Error> {
        let answer = self.call("RunPodSandbox", run_request(wanted)).await?;
        let fields = read("RunPodSandbox", fields(&answer))?;
        Ok(protobuf::text(&fields, 1))
    }

    /// Stops a sandbox and removes it; one that is gone already is no error.
    ///
    /// # Errors
    /// Nobody answers, or with a refusal.
    pub async fn remove_sandbox(&self, id: &str) -> Result<(), Error> {
        let request = || Message::default().text(1, id);
        self.call("StopPodSandbox", request()).await?;
        self.call("RemovePodSandbox", request()).await.map(drop)
    }
}

fn run_request(wanted: &Wanted<'_>) -> Message {
    let metadata = Message::default()
        .text(1, wanted.name)
        .text(2, wanted.uid)
        .text(3, wanted.namespace);
    let namespaces = Message::default().number(1, NETWORK_OF_NODE);
    let security = Message::default().message(1, &namespaces);
    let linux = Message::default()
        .text(1, wanted.cgroup)
        .message(2, &security);
    let config = Message::default().message(1, &metadata).message(8, &linux);
    Message::default()
        .message(1, &config)
        .text(2, wanted.handler)
}

fn status(answer: &[u8]) -> Option<Status> {
    let answer = fields(answer)?;
    let (mut is_ready, mut said) = (false, String::new());
    for status in protobuf::messages(&answer, 1) {
        let status = fields(status)?;
        for condition in protobuf::messages(&status, 1) {
            let condition = fields(condition)?;
            if protobuf::text(&condition, 1) == "RuntimeReady" {
                is_ready = protobuf::number(&condition, 2) == 1;
                said = [protobuf::text(&condition, 3), protobuf::text(&condition, 4)].join(" ");
            }
        }
    }
    Some(Status {
        is_ready,
        said: said.trim().to_owned(),
        handlers: handlers(&answer),
    })
}

/// Newer runtimes list their handlers; containerd 1.7 shows its configuration.
fn handlers(answer: &[protobuf::Field<'_>]) -> Option<Vec<String>> {
    let mut listed = Vec::new();
    for handler in protobuf::messages(answer, 3) {
        listed.push(protobuf::text(&fields(handler)?, 1));
    }
    if !listed.is_empty() {
        return Some(listed);
    }
    for entry in protobuf::messages(answer, 2) {
        let entry = fields(entry)?;
        if protobuf::text(&entry, 1) != "config" {
            continue;
        }
        let config: Value = serde_json::from_str(&protobuf::text(&entry, 2)).unwrap_or_default();
        let runtimes = config
            .pointer("/containerd/runtimes")
            .and_then(Value::as_object);
        return runtimes.map(|runtimes| runtimes.keys().cloned().collect());
    }
    None
}

fn sandboxes(answer: &[u8]) -> Option<Vec<Sandbox>> {
    let answer = fields(answer)?;
    let mut found = Vec::new();
    for item in protobuf::messages(&answer, 1) {
        let item = fields(item)?;
        let metadata = protobuf::messages(&item, 2).next().unwrap_or_default();
        let metadata = fields(metadata)?;
        found.push(Sandbox {
            id: protobuf::text(&item, 1),
            namespace: protobuf::text(&metadata, 3),
            name: protobuf::text(&metadata, 1),
            uid: protobuf::text(&metadata, 2),
            handler: protobuf::text(&item, 7),
            is_ready: protobuf::number(&item, 3) == READY,
        });
    }
    Some(found)
}

fn occupied(answer: &[u8]) -> Option<Vec<String>> {
    let answer = fields(answer)?;
    let mut found = Vec::new();
    for container in protobuf::messages(&answer, 1) {
        let container = fields(container)?;
        if protobuf::number(&container, 6) != EXITED {
            found.push(protobuf::text(&container, 2));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(name: &str, is_true: u64) -> Message {
        Message::default()
            .text(1, name)
            .number(2, is_true)
            .text(4, "why")
    }

    #[test]
    fn reads_a_status_of_either_kind() {
        let conditions = Message::default()
            .message(1, &condition("RuntimeReady", 1))
            .message(1, &condition("NetworkReady", 0));
        let bare = Message::default().message(1, &conditions);
        let found = status(&bare.clone().into_bytes()).unwrap();
        assert!(found.is_ready && found.said == "why" && found.handlers.is_none());

        let config = r#"{"containerd":{"runtimes":{"runc":{},"holdfast":{}}}}"#;
        let info = Message::default().text(1, "config").text(2, config);
        let older = bare.clone().message(2, &info).into_bytes();
        let names = status(&older).unwrap().handlers.unwrap();
        assert!(names.contains(&"holdfast".into()) && names.len() == 2);

        let newer = bare
            .message(2, &info)
            .message(3, &Message::default())
            .message(3, &Message::default().text(1, "runc"));
        let names = status(&newer.into_bytes()).unwrap().handlers.unwrap();
        assert_eq!(names, ["", "runc"], "what a runtime lists counts more");
    }

    #[test]
    fn reads_sandboxes_with_their_handlers() {
        let metadata = Message::default().text(1, "p").text(2, "u").text(3, "ns");
        let sandbox = Message::default()
            .text(1, "id")
            .message(2, &metadata)
            .text(7, "holdfast");
        let answer = Message::default().message(1, &sandbox).into_bytes();
        let found = sandboxes(&answer).unwrap();
        let [one] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(
            (one.id.as_str(), one.handler.as_str(), one.name.as_str()),
            ("id", "holdfast", "p")
        );
        assert!(one.is_ready);
        let ended = Message::default().message(1, &sandbox.number(3, 1));
        assert!(!sandboxes(&ended.into_bytes()).unwrap()[0].is_ready);
        assert_eq!(sandboxes(b"\x0a\x07"), None);
    }

    #[test]
    fn a_sandbox_is_occupied_by_what_has_not_ended() {
        let container = |sandbox: &str, state| Message::default().text(2, sandbox).number(6, state);
        let answer = [("a", 1), ("b", EXITED), ("c", 0)]
            .into_iter()
            .fold(Message::default(), |all, (sandbox, state)| {
                all.message(1, &container(sandbox, state))
            });
        assert_eq!(occupied(&answer.into_bytes()).unwrap(), ["a", "c"]);
    }
}
