//! A program of the host that stands where the host's programs run, and waits for a word. To go there takes time, and is done before
//! anything is frozen.

use crate::engine::dump::PROGRAMS;
use crate::oci::failure::Failure;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The cgroup on the host in which what we start there lives.
pub(crate) const CGROUP: &str = "holdfast";
/// The end of what a program said.
const TAIL: usize = 600;

/// Dropped before it was told, it ends.
#[derive(Debug)]
pub(crate) struct Poised(Option<Child>);

/// A command that runs a program of the host there, by `enter`, our runtime in the agent's image. Nothing of the agent's environment
/// goes along.
pub(crate) fn on_host(enter: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(enter);
    command.args(["enter", "--cgroup", CGROUP]);
    command.args(words).arg("--");
    command
        .env_clear()
        .env("PATH", PROGRAMS)
        .stdin(Stdio::null());
    command
}

impl Poised {
    /// Starts it on its way.
    ///
    /// # Errors
    /// It cannot be run.
    pub(crate) fn begin(enter: &Path, words: &[OsString]) -> Result<Self, Failure> {
        Self::start(on_host(enter, &["--wait"]), words)
    }

    /// The same of one that stops by itself where it is to wait: at the gate.
    ///
    /// # Errors
    /// It cannot be run.
    pub(crate) fn begin_for_the_gate(
        enter: &Path,
        words: &[OsString],
        variables: Vec<(&'static str, OsString)>,
    ) -> Result<Self, Failure> {
        let mut command = on_host(enter, &[]);
        command.envs(variables);
        Self::start(command, words)
    }

    fn start(mut command: Command, words: &[OsString]) -> Result<Self, Failure> {
        command.args(words).stdin(Stdio::piped());
        let begun = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let failed = |error| Failure::at("run", command.get_program().as_ref(), error);
        Ok(Self(Some(begun.map_err(failed)?)))
    }

    /// Waits until it is there.
    ///
    /// # Errors
    /// It ended on its way.
    pub(crate) fn is_there(&mut self) -> Result<(), Failure> {
        let Some(process) = &mut self.0 else {
            return Ok(());
        };
        let said = process.stdout.as_mut().map(|out| out.read(&mut [0]));
        if matches!(said, Some(Ok(1))) {
            return Ok(());
        }
        let mut why = String::new();
        if let Some(out) = &mut process.stderr {
            let _as_far_as_it_goes = out.read_to_string(&mut why);
        }
        let why = match (tail(&why), process.wait()) {
            ("", Ok(status)) => status.to_string(),
            (said, _) => said.to_owned(),
        };
        Err(Failure::new(format!("it ended before it was ready: {why}")))
    }

    /// Tells it to go on; it is the caller's now.
    ///
    /// # Errors
    /// It is not there any more.
    pub(crate) fn release(mut self) -> std::io::Result<Child> {
        let gone = || std::io::ErrorKind::NotFound.into();
        let told = self.0.as_mut().and_then(|process| process.stdin.take());
        told.ok_or_else(gone)?.write_all(b"\n")?;
        self.0.take().ok_or_else(gone)
    }

    /// Tells it to go on, and waits for its end.
    ///
    /// # Errors
    /// It is not there any more.
    pub(crate) fn run(self) -> std::io::Result<Output> {
        self.release()?.wait_with_output()
    }
}

impl Drop for Poised {
    fn drop(&mut self) {
        if let Some(mut untold) = self.0.take() {
            drop(untold.stdin.take());
            // It ends at once, and is not to stay as a zombie.
            let _ended = untold.wait();
        }
    }
}

/// The end of a text, from the beginning of a letter.
pub(crate) fn tail(text: &str) -> &str {
    let text = text.trim();
    let mut from = text.len().saturating_sub(TAIL);
    while !text.is_char_boundary(from) {
        from = from.saturating_add(1);
    }
    text.get(from..).unwrap_or_default()
}
