//! What a node is, as far as a checkpoint or a restore depends on it; pure: what was read in, facts with a verdict and a sentence out.

mod kernel;
pub(crate) mod options;

use serde::Serialize;
use std::collections::BTreeMap;

/// The kubelet's own default.
const REQUEST_TIMEOUT: &str = "2m";
/// What a large page server wants of a pipe.
const PIPE: u64 = 1 << 20;
/// Names of facts that are read from what the kernel shows.
pub(crate) const RESTORE: &str = "CONFIG_CHECKPOINT_RESTORE";
pub(crate) const TIME: &str = "CONFIG_TIME_NS";
pub(crate) const FAULT: &str = "CONFIG_USERFAULTFD";
pub(crate) const SECCOMP: &str = "seccomp";
/// No process may look into another one, whatever its rights.
const NO_PTRACE: u64 = 3;

/// Whether a node can do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// Something cannot be done here that could be.
    Note,
    /// Nothing can be done here before this is changed.
    Bad,
}

/// One thing about a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is about.
    pub name: &'static str,
    /// What was found.
    pub value: String,
    /// Whether that is enough.
    pub verdict: Verdict,
    /// What it means, or what to change.
    pub says: String,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The runtime's name and version, or why it does not answer.
    pub(crate) engine: Result<String, String>,
    /// Whether it knows our handler.
    pub(crate) handler: Option<bool>,
    /// Where our files are.
    pub(crate) prefix: Option<String>,
    /// What lacks below the prefix.
    pub(crate) damage: Vec<String>,
    /// The runtime that runs the containers, or why there is none.
    pub(crate) runtime: Result<String, String>,
    /// What freezes them, or why there is none.
    pub(crate) criu: Result<String, String>,
    /// What `criu check` says; none if it was not asked.
    pub(crate) criu_check: Option<Result<(), String>>,
    /// What files of the node tell it: the file, and its options.
    pub(crate) criu_options: Vec<(&'static str, Vec<String>)>,
    pub(crate) is_cgroup_v2: bool,
    pub(crate) is_systemd: Option<bool>,
    pub(crate) architecture: String,
    pub(crate) kernel: String,
    /// The kernel's own configuration, where it is to be had.
    pub(crate) kernel_config: Option<BTreeMap<String, String>>,
    pub(crate) cpu_flags: Vec<String>,
    /// Names of facts that the running kernel shows to be so.
    pub(crate) shown: Vec<&'static str>,
    pub(crate) pipe_max: Option<u64>,
    pub(crate) ptrace_scope: Option<u64>,
    /// As the kubelet's configuration says; none if that cannot be read.
    pub(crate) request_timeout: Option<String>,
}

/// All facts, those first that everything hangs on.
pub(crate) fn judge(seen: &Seen) -> Vec<Fact> {
    let mut facts = programs(seen);
    facts.extend(kernel::judge(seen));
    facts.extend(settings(seen));
    facts
}

pub(super) fn fact(
    name: &'static str,
    value: impl Into<String>,
    verdict: Verdict,
    says: impl Into<String>,
) -> Fact {
    Fact {
        name,
        value: value.into(),
        verdict,
        says: says.into(),
    }
}

/// Fine with nothing to say, or not.
pub(super) fn either(
    name: &'static str,
    value: impl Into<String>,
    is_fine: bool,
    otherwise: (Verdict, &str),
) -> Fact {
    let (verdict, says) = if is_fine {
        (Verdict::Fine, "")
    } else {
        otherwise
    };
    fact(name, value, verdict, says)
}

fn found(name: &'static str, found: &Result<String, String>) -> Fact {
    match found {
        Ok(value) => fact(name, value, Verdict::Fine, ""),
        Err(why) => fact(name, "none", Verdict::Bad, why),
    }
}

fn programs(seen: &Seen) -> Vec<Fact> {
    let installed = match &seen.prefix {
        None => fact(
            "installed",
            "no",
            Verdict::Bad,
            "run `holdfast host install`",
        ),
        Some(prefix) if seen.damage.is_empty() => fact("installed", prefix, Verdict::Fine, ""),
        Some(prefix) => fact(
            "installed",
            prefix,
            Verdict::Bad,
            format!(
                "{}: run `holdfast host install` again",
                seen.damage.join("; ")
            ),
        ),
    };
    let handler = match seen.handler {
        Some(true) => fact("handler", "known", Verdict::Fine, ""),
        Some(false) => fact(
            "handler",
            "unknown",
            Verdict::Bad,
            "the container runtime does not know the handler holdfast: run `holdfast host install`",
        ),
        None => fact(
            "handler",
            "",
            Verdict::Note,
            "the container runtime does not say which handlers it knows",
        ),
    };
    let check = match &seen.criu_check {
        Some(Ok(())) => fact("criu check", "ok", Verdict::Fine, ""),
        Some(Err(why)) => fact("criu check", "failed", Verdict::Bad, why),
        None => fact(
            "criu check",
            "",
            Verdict::Note,
            "it was not asked, since there is no CRIU that can be used",
        ),
    };
    vec![
        found("engine", &seen.engine),
        installed,
        handler,
        found("runtime", &seen.runtime),
        found("criu", &seen.criu),
        check,
        options::judge(&seen.criu_options),
    ]
}

fn settings(seen: &Seen) -> Vec<Fact> {
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let pipe = seen.pipe_max.is_some_and(|bytes| bytes >= PIPE);
    // Without Yama there is no such setting.
    let traced = seen.ptrace_scope.is_none_or(|scope| scope < NO_PTRACE);
    let is_filtering = seen.shown.contains(&SECCOMP);
    let timeout = match &seen.request_timeout {
        Some(timeout) => fact("runtimeRequestTimeout", timeout, Verdict::Fine, ""),
        None => fact(
            "runtimeRequestTimeout",
            "",
            Verdict::Note,
            "the kubelet's configuration was not found; its default of 2m is counted with",
        ),
    };
    vec![
        either(
            "fs.pipe-max-size",
            number(seen.pipe_max),
            pipe,
            (Verdict::Note, "set it to 1048576 or more for post-copy"),
        ),
        either(
            "kernel.yama.ptrace_scope",
            number(seen.ptrace_scope),
            traced,
            (
                Verdict::Bad,
                "3 forbids what CRIU does, until the next boot: set kernel.yama.ptrace_scope to 2 or less and reboot",
            ),
        ),
        either(
            SECCOMP,
            if is_filtering { "yes" } else { "no" },
            is_filtering,
            (
                Verdict::Note,
                "pods with a seccomp profile cannot be moved to this node",
            ),
        ),
        timeout,
    ]
}

/// What goes to the node's object: annotations, by name.
pub(crate) fn annotations(facts: &[Fact]) -> BTreeMap<String, String> {
    let told = [
        "engine",
        "runtime",
        "criu",
        "criu check",
        "kernel",
        "cgroup",
        "cpu",
        "runtimeRequestTimeout",
    ];
    let all = facts.iter().filter(|fact| told.contains(&fact.name));
    all.map(|fact| {
        let name = match fact.name {
            "runtimeRequestTimeout" => "request-timeout".to_owned(),
            name => name.replace(' ', "-"),
        };
        let default = if name == "request-timeout" {
            REQUEST_TIMEOUT
        } else {
            "unknown"
        };
        let value = if fact.value.is_empty() {
            default.to_owned()
        } else {
            fact.value.clone()
        };
        (format!("{}{name}", crate::kit::names::FACTS), value)
    })
    .collect()
}

/// Whether nothing is wrong.
#[must_use]
pub fn is_fine(facts: &[Fact]) -> bool {
    facts.iter().all(|fact| fact.verdict != Verdict::Bad)
}

#[cfg(test)]
mod tests;
