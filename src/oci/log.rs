//! Says an error as the real runtime would: into the file of `--log`, in the format of `--log-format`, and on standard error.
//! containerd reads the file and hands the sentence on, so that `kubectl describe pod` shows it.

use super::command_line::{CommandLine, Dialect};
use super::failure::Failure;
use jiff::Timestamp;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::SystemTime;

/// Where the caller wants to read errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    file: Option<PathBuf>,
    is_json: bool,
    dialect: Dialect,
}

impl Log {
    /// As the command line says.
    #[must_use]
    pub fn of(line: &CommandLine, dialect: Dialect) -> Self {
        let given = line.global("log").filter(|value| !value.is_empty());
        Self {
            file: given.and_then(|value| file_of(value, dialect)),
            is_json: line
                .global("log-format")
                .is_some_and(|format| format == "json"),
            dialect,
        }
    }

    /// Says it. A log that cannot be written keeps nobody from reading standard error.
    pub fn tell(&self, failure: &Failure) {
        let sentence = failure.to_string();
        let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        let line = self.line(&sentence, now);
        let Some(file) = &self.file else {
            eprintln!("{line}");
            return;
        };
        let opened = OpenOptions::new().append(true).create(true).open(file);
        if let Err(error) =
            opened.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        {
            eprintln!("{}", Failure::at("write", file, error));
        }
        eprintln!("{sentence}");
    }

    fn line(&self, sentence: &str, now: Timestamp) -> String {
        if self.is_json {
            let whole = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            return serde_json::json!({ "level": "error", "msg": sentence, "time": whole })
                .to_string();
        }
        match self.dialect {
            Dialect::Crun => sentence.to_owned(),
            Dialect::Runc => format!(
                "time=\"{}\" level=error msg={}",
                now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                serde_json::Value::from(sentence)
            ),
        }
    }
}

/// crun may also log to the journal or to syslog: then standard error has to do.
fn file_of(value: &OsStr, dialect: Dialect) -> Option<PathBuf> {
    let bytes = value.as_bytes();
    if dialect == Dialect::Runc {
        return Some(value.into());
    }
    if bytes.starts_with(b"journald:") || bytes.starts_with(b"syslog:") {
        return None;
    }
    let path = bytes.strip_prefix(b"file:").unwrap_or(bytes);
    Some(OsStr::from_bytes(path).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;
    use std::ffi::OsString;

    fn log(line: &str, dialect: Dialect) -> Log {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        Log::of(&CommandLine::parse(&words, dialect), dialect)
    }

    #[test]
    fn a_line_is_the_runtimes_own() {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        let says = |line, dialect| log(line, dialect).line("no \"x\"", now);
        assert_eq!(
            says("--log /l --log-format json state c", Dialect::Runc),
            r#"{"level":"error","msg":"no \"x\"","time":"2001-09-09T01:46:40Z"}"#
        );
        assert_eq!(
            says("--log /l state c", Dialect::Runc),
            r#"time="2001-09-09T01:46:40Z" level=error msg="no \"x\"""#
        );
        assert_eq!(says("--log /l state c", Dialect::Crun), "no \"x\"");
    }

    #[test]
    fn crun_names_its_log_by_kind() {
        let file = |line| log(line, Dialect::Crun).file;
        assert_eq!(file("--log file:/l state c"), Some("/l".into()));
        assert_eq!(file("--log=/l state c"), Some("/l".into()));
        assert_eq!(file("--log journald:x state c"), None);
        assert_eq!(file("state c"), None);
    }

    #[test]
    fn adds_to_what_is_there() {
        let folder = Folder::new();
        let path = folder.write("log.json", "{\"level\":\"info\"}\n");
        let line = format!("--log {} --log-format json start c", path.display());
        log(&line, Dialect::Runc).tell(&Failure::new("it waits"));
        let content = std::fs::read_to_string(path).unwrap();
        let lines: Vec<_> = content.lines().collect();
        assert_eq!(lines.len(), 2);
        let said: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(said["msg"], "it waits");
    }
}
