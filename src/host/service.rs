//! The node's container runtime as a service: whether it can be started again, that it is, and when it answers.

use super::commands;
use super::handler::NAME;
use super::record::Engine;
use crate::cri::client::Cri;
use crate::cri::runtime::Status;
use crate::kit::error::{Error, chain};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often it is asked whether it answers.
const LOOK: Duration = Duration::from_millis(200);
/// To stop and start may take a while; waiting for the answer comes after that.
const COMMAND: Duration = Duration::from_secs(90);

/// A node's container runtime.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) engine: Engine,
    pub(crate) cri: Cri,
    /// What starts it again, where there is no systemd.
    pub(crate) command: Option<String>,
    /// So long it may take until it answers.
    pub(crate) limit: Duration,
}

impl Service {
    /// Says how it can be started again, before anything is changed.
    ///
    /// # Errors
    /// If it cannot.
    pub(crate) async fn refuse_without_a_way(&self) -> Result<(), Error> {
        if self.command.is_some() {
            return Ok(());
        }
        let unit = self.engine.name();
        let why = match commands::find("systemctl") {
            None => "this host has no systemctl".to_owned(),
            Some(systemctl) => {
                match commands::run(&systemctl, &["is-active", unit], commands::ANSWER).await {
                    Ok(said) if said.is_fine() => return Ok(()),
                    Ok(said) => format!("`systemctl is-active {unit}` says {}", said.last_words()),
                    Err(error) => chain(&error),
                }
            }
        };
        Err(Error::Invalid {
            what: format!("the service {unit}"),
            why: format!(
                "it cannot be started again after its configuration has changed ({why}): give the command that does it with --restart-command"
            ),
        })
    }

    /// Starts it again.
    ///
    /// # Errors
    /// If that failed.
    pub(crate) async fn begin_again(&self) -> Result<(), Error> {
        let (program, words) = match &self.command {
            Some(command) => ("sh", vec!["-c", command.as_str()]),
            None => ("systemctl", vec!["restart", self.engine.name()]),
        };
        let path = commands::find(program).unwrap_or_else(|| Path::new(program).to_owned());
        let said = commands::run(&path, &words, COMMAND).await?;
        if said.is_fine() {
            return Ok(());
        }
        Err(Error::io(
            "run",
            format!("{program} {}", words.join(" ")),
            std::io::Error::other(said.last_words().to_owned()),
        ))
    }

    /// Waits until it is ready, and knows our handler or knows it no more.
    ///
    /// # Errors
    /// If that is not so within the limit; with what it said last.
    pub(crate) async fn until_ready(&self, with_handler: bool) -> Result<Status, Error> {
        self.until(|status| lacks(status, with_handler)).await
    }

    /// Waits until it answers: it may have been started a moment ago.
    ///
    /// # Errors
    /// If it does not within the limit; with why.
    pub(crate) async fn until_it_answers(&self) -> Result<Status, Error> {
        self.until(|_any| None).await
    }

    async fn until(&self, lacks: impl Fn(&Status) -> Option<String>) -> Result<Status, Error> {
        let deadline = Instant::now()
            .checked_add(self.limit)
            .unwrap_or_else(Instant::now);
        let mut last = "it was not asked".to_owned();
        loop {
            match timeout_at(deadline, self.cri.status()).await {
                Ok(Ok(status)) => match lacks(&status) {
                    None => return Ok(status),
                    Some(why) => last = why,
                },
                Ok(Err(error)) => last = chain(&error),
                Err(_elapsed) => {}
            }
            if Instant::now() >= deadline {
                return Err(Error::Invalid {
                    what: format!("the service {}", self.engine.name()),
                    why: format!(
                        "it did not answer as it should within {:?} ({last})",
                        self.limit
                    ),
                });
            }
            sleep(LOOK).await;
        }
    }
}

/// What is still missing.
fn lacks(status: &Status, with_handler: bool) -> Option<String> {
    if !status.is_ready {
        return Some(format!("it is not ready: {}", status.said));
    }
    match knows_handler(status) {
        Some(knows) if knows != with_handler => Some(if with_handler {
            format!("it is ready, and does not know the handler {NAME}")
        } else {
            format!("it is ready, and still knows the handler {NAME}")
        }),
        _ => None,
    }
}

/// Whether a runtime knows our handler, if it says.
pub(crate) fn knows_handler(status: &Status) -> Option<bool> {
    let handlers = status.handlers.as_ref()?;
    Some(handlers.iter().any(|name| name == NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(is_ready: bool, handlers: Option<&[&str]>) -> Status {
        Status {
            is_ready,
            said: "because".into(),
            handlers: handlers.map(|all| all.iter().map(|name| (*name).to_owned()).collect()),
        }
    }

    fn service(command: &str) -> Service {
        Service {
            engine: Engine::Containerd,
            cri: Cri::new(Path::new("/nowhere/x.sock"), Duration::from_secs(1)),
            command: Some(command.into()),
            limit: Duration::from_millis(300),
        }
    }

    #[test]
    fn is_back_when_it_is_ready_and_has_read_its_configuration() {
        assert_eq!(lacks(&status(true, Some(&["runc", NAME])), true), None);
        assert_eq!(lacks(&status(true, Some(&["runc"])), false), None);
        assert_eq!(
            lacks(&status(true, None), true),
            None,
            "one that does not say is believed"
        );
        assert!(
            lacks(&status(true, Some(&["runc"])), true)
                .unwrap()
                .contains("does not know")
        );
        assert!(
            lacks(&status(true, Some(&[NAME])), false)
                .unwrap()
                .contains("still knows")
        );
        assert!(
            lacks(&status(false, None), true)
                .unwrap()
                .contains("because")
        );
    }

    #[tokio::test]
    async fn says_what_went_wrong() {
        let error = service("echo code $((2 + 2)) >&2; exit 4")
            .begin_again()
            .await
            .unwrap_err();
        assert!(chain(&error).ends_with("code 4"), "{error}");
        service("true").begin_again().await.unwrap();
        let error = service("true")
            .until_ready(true)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/nowhere/x.sock") && error.contains("did not answer as it should"),
            "{error}"
        );
    }
}
