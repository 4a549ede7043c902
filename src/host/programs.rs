//! Which runtime really runs the containers, and which CRIU freezes them: the node's own where they are new enough, else those that we
//! bring. Pure but for [`ask`]; `docs/host.md` says why these versions.

use super::commands;
use std::fmt;
use std::path::{Path, PathBuf};

/// runc 1.1 cannot leave a container's cgroups alone, which a restore on cgroup v1 needs.
const RUNC: Version = Version([1, 2, 0]);
const CRUN: Version = Version([1, 8, 0]);
/// Older ones cannot dump an inet socket on Linux 6.16 and later.
const CRIU: Version = Version([4, 2, 0]);

/// What a program can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Runc,
    Crun,
    Criu,
}

/// The first three numbers of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version([u32; 3]);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// A program that was asked who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) version: Version,
    /// Whether it was built to work with CRIU; runc always is.
    pub(crate) is_complete: bool,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            Kind::Runc => "runc",
            Kind::Crun => "crun",
            Kind::Criu => "CRIU",
        };
        write!(f, "{name} {}", self.version)
    }
}

impl Program {
    /// What is wrong with it, if anything is.
    pub(crate) fn lacks(&self) -> Option<String> {
        let least = match self.kind {
            Kind::Runc => RUNC,
            Kind::Crun => CRUN,
            Kind::Criu => CRIU,
        };
        if self.version < least {
            return Some(format!(
                "{} is {self}, and {least} or later is needed",
                self.path.display()
            ));
        }
        let built = format!("{} was built without CRIU", self.path.display());
        (!self.is_complete).then_some(built)
    }
}

/// The version that a program printed.
pub(crate) fn parse(path: &Path, said: &str) -> Option<Program> {
    let (kind, version) = said.lines().find_map(|line| {
        let line = line.trim();
        let runc = line.strip_prefix("runc version ").map(|v| (Kind::Runc, v));
        let crun = line.strip_prefix("crun version ").map(|v| (Kind::Crun, v));
        runc.or(crun)
            .or_else(|| line.strip_prefix("Version: ").map(|v| (Kind::Criu, v)))
    })?;
    Some(Program {
        path: path.to_owned(),
        kind,
        version: numbers(version)?,
        is_complete: kind != Kind::Crun || said.contains("+CRIU"),
    })
}

fn numbers(text: &str) -> Option<Version> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let mut found = [0_u32; 3];
    let mut parts = text.get(..end)?.split('.').filter(|part| !part.is_empty());
    let first = parts.next()?.parse().ok()?;
    for (place, part) in found
        .iter_mut()
        .zip(std::iter::once(Ok(first)).chain(parts.map(str::parse)))
    {
        *place = part.ok()?;
    }
    Some(Version(found))
}

/// The first that can be used, or why each cannot.
pub(crate) fn usable(found: Vec<Program>) -> Result<Program, Vec<String>> {
    let mut wrong = Vec::new();
    for program in found {
        match program.lacks() {
            None => return Ok(program),
            Some(why) => wrong.push(why),
        }
    }
    Err(wrong)
}

/// Asks a program who it is; nothing if it does not answer, or is something else.
pub(crate) async fn ask(path: &Path) -> Option<Program> {
    let said = commands::ask(path, &["--version"]).await.ok()?;
    parse(path, &said)
}

/// All of these that are there, asked who they are.
pub(crate) async fn ask_all(paths: impl IntoIterator<Item = PathBuf>) -> Vec<Program> {
    let mut found = Vec::new();
    for path in paths {
        found.extend(ask(&path).await);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNC_OLD: &str = "runc version 1.1.15+ds1\ncommit: 1.1.15+ds1-2+b4\nspec: 1.2.0\ngo: go1.24.4\nlibseccomp: 2.6.0\n";
    const CRUN: &str = "crun version 1.21\ncommit: 10269840aa07fb7e6b7e1acff6198692d8ff5c88\nrundir: /run/user/0/crun\nspec: 1.0.0\n+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF +CRIU +YAJL\n";

    fn of(said: &str) -> Program {
        parse(Path::new("/usr/sbin/x"), said).unwrap()
    }

    #[test]
    fn knows_them_by_what_they_print() {
        assert_eq!(of(RUNC_OLD).to_string(), "runc 1.1.15");
        assert_eq!(of(CRUN).to_string(), "crun 1.21.0");
        assert_eq!(
            of("Version: 4.2.1\nGitID: v4.2.1\n").to_string(),
            "CRIU 4.2.1"
        );
        assert_eq!(of("runc version 1.4.0\n").to_string(), "runc 1.4.0");
        assert_eq!(of("runc version 1.3.0-rc.1\n").to_string(), "runc 1.3.0");
        for other in [
            "",
            "runsc version release-20250",
            "runc version next",
            "Version: ",
        ] {
            assert_eq!(parse(Path::new("/x"), other), None, "{other}");
        }
    }

    #[test]
    fn the_first_that_is_new_enough_is_taken() {
        let all = vec![of(RUNC_OLD), of(CRUN), of("runc version 1.4.0")];
        assert_eq!(usable(all).unwrap().kind, Kind::Crun);
        let wrong = usable(vec![
            of(RUNC_OLD),
            of(&CRUN.replace("+CRIU", "")),
            of("Version: 4.1.1"),
        ])
        .unwrap_err();
        let [runc, crun, criu] = &wrong[..] else {
            panic!("{wrong:?}")
        };
        assert_eq!(
            runc,
            "/usr/sbin/x is runc 1.1.15, and 1.2.0 or later is needed"
        );
        assert_eq!(crun, "/usr/sbin/x was built without CRIU");
        assert!(criu.contains("4.2.0 or later"), "{criu}");
    }
}
