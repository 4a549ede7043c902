//! Reads the command line of an OCI runtime as that runtime would, as far as we must know it: the verb, the container, and a few
//! flags. Nothing is rewritten: what is passed on are the arguments themselves.
//!
//! runc is written in Go: its flags have one dash or two, and for most verbs they may stand behind what they belong to. crun uses the
//! C library's parser: letters may be run together, and long names cut short. What neither knows yet is taken for a switch, and then
//! every operand may be the container.

use super::flags::{self, Flag};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How a runtime reads its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// As runc does.
    Runc,
    /// As crun does.
    Crun,
}

impl Dialect {
    /// By the name of the program.
    #[must_use]
    pub fn of(program: &Path) -> Self {
        let name = program.file_name().unwrap_or_default().as_bytes();
        if name.starts_with(b"crun") {
            Self::Crun
        } else {
            Self::Runc
        }
    }
}

/// What stands in a command line; borrowed from it.
#[derive(Debug)]
pub struct CommandLine<'a> {
    arguments: &'a [OsString],
    verb: Option<usize>,
    globals: Given<'a>,
    options: Given<'a>,
}

/// Flags with their values, and what is not a flag.
#[derive(Debug, Default)]
struct Given<'a> {
    flags: Vec<(&'static str, &'a OsStr)>,
    operands: Vec<&'a OsStr>,
    has_unknown: bool,
}

impl<'a> CommandLine<'a> {
    /// Reads the arguments, without the program's own name.
    #[must_use]
    pub fn parse(arguments: &'a [OsString], dialect: Dialect) -> Self {
        let all: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
        let globals = read(&all, flags::GLOBAL, dialect);
        let verb = arguments.len().checked_sub(globals.operands.len());
        let verb = verb.filter(|_| !globals.operands.is_empty());
        let options = match globals.operands.split_first() {
            None => Given::default(),
            Some((verb, rest)) => {
                let known = flags::of_verb(verb.as_bytes());
                let keeps_order = [&b"exec"[..], b"ps"].contains(&verb.as_bytes());
                if dialect == Dialect::Runc && !keeps_order {
                    read(&flags_first(rest, known), known, dialect)
                } else {
                    read(rest, known, dialect)
                }
            }
        };
        Self {
            arguments,
            verb,
            globals,
            options,
        }
    }

    /// What is to be done; nothing if only help or a version is asked for.
    #[must_use]
    pub fn verb(&self) -> Option<&'a [u8]> {
        let asks = |given: &Given, name: &str| given.flags.iter().any(|(flag, _)| *flag == name);
        if ["help", "usage", "version"]
            .iter()
            .any(|name| asks(&self.globals, name))
            || ["help", "usage"]
                .iter()
                .any(|name| asks(&self.options, name))
        {
            return None;
        }
        self.globals.operands.first().map(|verb| verb.as_bytes())
    }

    /// The arguments before the verb, as they were given.
    #[must_use]
    pub fn before_verb(&self) -> &'a [OsString] {
        self.arguments
            .get(..self.verb.unwrap_or(self.arguments.len()))
            .unwrap_or_default()
    }

    /// The value of a flag that stands before the verb; of several, the last.
    #[must_use]
    pub fn global(&self, name: &str) -> Option<&'a OsStr> {
        self.globals.last(name)
    }

    /// The value of a flag of the verb; of several, the last.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&'a OsStr> {
        self.options.last(name)
    }

    /// Whether a switch of the verb is on. What is neither on nor off the real runtime refuses.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        let on = ["", "true", "True", "TRUE", "t", "T", "1"];
        self.option(name)
            .is_some_and(|given| on.iter().any(|on| *on == given))
    }

    /// What is not a flag, behind the verb.
    #[must_use]
    pub fn operands(&self) -> &[&'a OsStr] {
        &self.options.operands
    }

    /// The container that is made or deleted. A flag that we do not know may have a value, which stands before it.
    #[must_use]
    pub fn id(&self) -> Option<&'a OsStr> {
        if self.options.has_unknown {
            self.options.operands.last().copied()
        } else {
            self.options.operands.first().copied()
        }
    }

    /// Whatever may be the container that is meant: mostly one; all operands if there is a flag that we do not know.
    #[must_use]
    pub fn candidates(&self) -> &[&'a OsStr] {
        let operands = &self.options.operands;
        if self.options.has_unknown {
            operands
        } else {
            operands.get(..1).unwrap_or_default()
        }
    }
}

impl<'a> Given<'a> {
    fn last(&self, name: &str) -> Option<&'a OsStr> {
        let mut found = self.flags.iter().rev();
        found
            .find(|(flag, _)| *flag == name)
            .map(|(_, value)| *value)
    }
}

/// Reads flags until the first argument that is none.
fn read<'a>(arguments: &[&'a OsStr], known: &'static [Flag], dialect: Dialect) -> Given<'a> {
    let mut given = Given::default();
    let mut rest = arguments.iter().copied();
    while let Some(argument) = rest.next() {
        let bytes = argument.as_bytes();
        if bytes == b"--" {
            break;
        }
        if bytes.first() != Some(&b'-') || bytes == b"-" {
            given.operands.push(argument);
            break;
        }
        match dialect {
            Dialect::Runc => read_go(argument, known, &mut rest, &mut given),
            Dialect::Crun => read_gnu(argument, known, &mut rest, &mut given),
        }
    }
    given.operands.extend(rest);
    given
}

type Rest<'r, 'a> = dyn Iterator<Item = &'a OsStr> + 'r;

/// `-flag`, `--flag`, `--flag=value`, `--flag value`; a letter is a name like any other.
fn read_go<'a>(
    argument: &'a OsStr,
    known: &'static [Flag],
    rest: &mut Rest<'_, 'a>,
    given: &mut Given<'a>,
) {
    let (name, attached) = name_and_value(argument);
    let Some(flag) = known.iter().find(|flag| is_called(flag, name)) else {
        given.has_unknown = true;
        return;
    };
    let value = match attached {
        Some(value) => value,
        None if flag.has_value => rest.next().unwrap_or_default(),
        None => OsStr::new(""),
    };
    given.flags.push((flag.long, value));
}

/// `--flag=value`, `--flag value`, both cut short as far as they are unambiguous; `-f`, `-fr`, `-bDIR`, `-b DIR`.
fn read_gnu<'a>(
    argument: &'a OsStr,
    known: &'static [Flag],
    rest: &mut Rest<'_, 'a>,
    given: &mut Given<'a>,
) {
    if argument.as_bytes().starts_with(b"--") {
        let (name, attached) = name_and_value(argument);
        let Some(flag) = by_beginning(name, known) else {
            given.has_unknown = true;
            return;
        };
        let value = match attached {
            Some(value) => value,
            None if flag.has_value => rest.next().unwrap_or_default(),
            None => OsStr::new(""),
        };
        given.flags.push((flag.long, value));
        return;
    }
    let mut letters = argument.as_bytes().get(1..).unwrap_or_default();
    while let Some((letter, others)) = letters.split_first() {
        letters = others;
        let Some(flag) = known.iter().find(|flag| flag.short == Some(*letter)) else {
            given.has_unknown = true;
            continue;
        };
        if !flag.has_value {
            given.flags.push((flag.long, OsStr::new("")));
        } else if others.is_empty() {
            given
                .flags
                .push((flag.long, rest.next().unwrap_or_default()));
        } else {
            given.flags.push((flag.long, OsStr::from_bytes(others)));
            return;
        }
    }
}

/// The flag of this name, or the only one whose name begins so.
fn by_beginning(name: &[u8], known: &'static [Flag]) -> Option<&'static Flag> {
    let exact = known.iter().find(|flag| flag.long.as_bytes() == name);
    exact.or_else(|| {
        let mut fitting = known
            .iter()
            .filter(|flag| flag.long.as_bytes().starts_with(name));
        let first = fitting.next();
        first.filter(|_| fitting.next().is_none())
    })
}

fn is_called(flag: &Flag, name: &[u8]) -> bool {
    flag.long.as_bytes() == name || flag.short.is_some_and(|short| name == [short])
}

/// `--name=value` taken apart, without its one or two dashes.
fn name_and_value(argument: &OsStr) -> (&[u8], Option<&OsStr>) {
    let bytes = argument.as_bytes();
    let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let mut parts = bytes.splitn(2, |byte| *byte == b'=');
    let name = parts.next().unwrap_or_default();
    (name, parts.next().map(OsStr::from_bytes))
}

/// runc's order: for most verbs flags may stand behind operands, and are brought forward, each with the argument behind it.
/// That is done also for a switch, which has no value: `kill ID --all KILL` sends to the container `KILL`.
fn flags_first<'a>(arguments: &[&'a OsStr], known: &'static [Flag]) -> Vec<&'a OsStr> {
    let is_flag = |argument: &OsStr| {
        let bytes = argument.as_bytes();
        let (name, _) = name_and_value(argument);
        bytes.first() == Some(&b'-')
            && bytes != b"-"
            && bytes != b"--"
            && known.iter().any(|flag| is_called(flag, name))
    };
    let (mut first, mut others) = (Vec::new(), Vec::new());
    let mut may_be_value = false;
    let mut rest = arguments.iter().copied();
    while let Some(argument) = rest.next() {
        if may_be_value && !is_flag(argument) {
            may_be_value = false;
            first.push(argument);
        } else if argument == "--" {
            first.push(argument);
            others.extend(rest);
            break;
        } else if is_flag(argument) {
            first.push(argument);
            may_be_value = !argument.as_bytes().contains(&b'=');
        } else {
            others.push(argument);
        }
    }
    first.append(&mut others);
    first
}

#[cfg(test)]
mod tests;
