//! Programs of the host that are asked or told something: each with a time limit, and with a sentence when it fails.

use crate::kit::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Where a host has its programs. A container's own PATH would not name them.
const FOLDERS: [&str; 8] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/opt/bin",
    "/usr/libexec/crio",
];
/// To print something takes moments; a machine may be busy.
pub(crate) const ANSWER: Duration = Duration::from_secs(20);

/// What a program said, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// What it exited with; none where it was killed.
    pub(crate) code: Option<i32>,
    /// On its standard output.
    pub(crate) out: String,
    /// On its standard error.
    pub(crate) errors: String,
}

impl Said {
    /// Whether it ended with success.
    pub(crate) fn is_fine(&self) -> bool {
        self.code == Some(0)
    }

    /// The last words of a failure.
    pub(crate) fn last_words(&self) -> &str {
        let all = if self.errors.trim().is_empty() {
            &self.out
        } else {
            &self.errors
        };
        all.trim().lines().last().unwrap_or("it said nothing")
    }
}

/// All programs of this name, in the order of the PATH.
pub(crate) fn all(name: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in FOLDERS.map(|folder| Path::new(folder).join(name)) {
        // /bin is often /usr/bin.
        let real = path.canonicalize().ok();
        let is_new = real.is_some() && found.iter().all(|other| other.canonicalize().ok() != real);
        if is_new && path.is_file() {
            found.push(path);
        }
    }
    found
}

/// The first program of this name.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    all(name).into_iter().next()
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be run, or took too long and was ended.
pub(crate) async fn run(program: &Path, words: &[&str], limit: Duration) -> Result<Said, Error> {
    let mut command = Command::new(program);
    command
        .args(words)
        .current_dir("/")
        .env("PATH", FOLDERS.join(":"))
        .env("LC_ALL", "C")
        // From a container the host's root is another one than ours; systemctl would take that for a chroot and do nothing.
        .env("SYSTEMD_IGNORE_CHROOT", "1");
    to_its_end(command, limit).await
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be run, or took too long and was ended.
pub(crate) async fn to_its_end(mut command: Command, limit: Duration) -> Result<Said, Error> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let inner = command.as_std();
    let words = std::iter::once(inner.get_program()).chain(inner.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let object = words.join(" ");
    let done = tokio::time::timeout(limit, command.output()).await;
    let done = done.map_err(|_elapsed| Error::TimedOut {
        verb: "run",
        object: object.clone(),
        limit,
    })?;
    let output = done.map_err(|source| Error::io("run", object, source))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said {
        code: output.status.code(),
        out: text(&output.stdout),
        errors: text(&output.stderr),
    })
}

/// Runs a program that must succeed, and hands out what it printed.
///
/// # Errors
/// It cannot be run, or failed: with its last words.
pub(crate) async fn ask(program: &Path, words: &[&str]) -> Result<String, Error> {
    let said = run(program, words, ANSWER).await?;
    if said.is_fine() {
        return Ok(said.out);
    }
    Err(Error::io(
        "run",
        format!("{} {}", program.display(), words.join(" ")),
        std::io::Error::other(said.last_words().to_owned()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn says_what_a_program_said() {
        let shell = find("sh").unwrap();
        assert_eq!(ask(&shell, &["-c", "echo words"]).await.unwrap(), "words\n");
        let error = ask(
            &shell,
            &["-c", "echo first >&2; echo the $((1 + 1))nd >&2; exit 3"],
        )
        .await
        .unwrap_err();
        assert!(
            crate::kit::error::chain(&error).ends_with(": the 2nd"),
            "{error:?}"
        );
        let said = run(&shell, &["-c", "exit 1"], ANSWER).await.unwrap();
        assert!(!said.is_fine() && said.last_words() == "it said nothing");
    }

    #[tokio::test]
    async fn ends_a_program_that_takes_too_long() {
        let shell = find("sh").unwrap();
        let error = run(
            &shell,
            &["-c", "read x < /dev/zero; while :; do :; done"],
            Duration::from_millis(50),
        )
        .await
        .unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = ask(Path::new("/nowhere/x"), &["y"]).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot run /nowhere/x y");
        assert_eq!(find("no-program-has-this-name"), None);
    }
}
