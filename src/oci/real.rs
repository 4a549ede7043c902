//! Runs the real runtime: in our place, so that nothing stands between it and its caller; or as a child where something is left to do
//! when it has ended. Arguments, environment, descriptors and working directory are handed on as they are.

use super::failure::Failure;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};

/// The real runtime, under the name that we were called by.
#[derive(Debug, Clone)]
pub struct Real {
    /// The program.
    pub program: PathBuf,
    /// What its first argument, its own name, says.
    pub name: OsString,
}

impl Real {
    /// Becomes the real runtime. Comes back only if that failed.
    #[must_use]
    pub fn become_it<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Failure {
        self.become_command(self.command(arguments))
    }

    /// The same, with a command of [`Self::command`] that was changed.
    #[must_use]
    pub fn become_command(&self, mut command: Command) -> Failure {
        let error = command.exec();
        Failure::at("run", &self.program, error)
    }

    /// Runs it, and waits for its end.
    ///
    /// # Errors
    /// If it could not be run.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<ExitStatus, Failure> {
        let mut command = self.command(arguments);
        command
            .status()
            .map_err(|error| Failure::at("run", &self.program, error))
    }

    /// The command, not yet run.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0(&self.name).args(arguments);
        command
    }
}

/// Ends as a child ended: with its code, or by its signal.
#[must_use]
pub fn end_as(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal()
        && let Some(signal) = rustix::process::Signal::from_named_raw(signal)
    {
        // The child's end is ours; where the signal does not end us, its number says as much.
        let _still_here = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
    let by_signal = status
        .signal()
        .map_or(1, |signal| signal.saturating_add(128));
    let code = status.code().unwrap_or(by_signal);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
