//! What of a node is its kernel and its processor.

use super::{FAULT, Fact, RESTORE, Seen, TIME, Verdict, either, fact};
use crate::kit::digest::Digest;

const DIRTY: &str = "CONFIG_MEM_SOFT_DIRTY";

/// The kernel's facts.
pub(super) fn judge(seen: &Seen) -> Vec<Fact> {
    vec![
        fact(
            "kernel",
            format!("{} {}", seen.kernel, seen.architecture),
            Verdict::Fine,
            "",
        ),
        option(
            seen,
            RESTORE,
            (
                Verdict::Bad,
                "this kernel was built without it: nothing can be restored on this node; take another kernel",
            ),
        ),
        option(
            seen,
            TIME,
            (
                Verdict::Bad,
                "this kernel has no time namespaces, and a restored program would see its clocks go back: take Linux 5.6 or later with CONFIG_TIME_NS",
            ),
        ),
        option(
            seen,
            FAULT,
            (Verdict::Note, "post-copy cannot be used on this node"),
        ),
        dirty(seen),
        cgroup(seen),
        fact("cpu", processor(&seen.cpu_flags), Verdict::Fine, ""),
    ]
}

/// What the kernel shows counts; its configuration is asked where it shows nothing.
fn option(seen: &Seen, name: &'static str, otherwise: (Verdict, &str)) -> Fact {
    let has = seen.shown.contains(&name) || configured(seen, name) == Some(true);
    either(name, yes(has), has, otherwise)
}

fn dirty(seen: &Seen) -> Fact {
    let cannot = (
        Verdict::Note,
        "memory cannot be copied before the freeze on this node",
    );
    match configured(seen, DIRTY) {
        Some(is) => either(DIRTY, yes(is), is, cannot),
        None => fact(
            DIRTY,
            "",
            Verdict::Note,
            "the kernel's configuration cannot be read here, neither in /proc/config.gz nor in /boot",
        ),
    }
}

fn cgroup(seen: &Seen) -> Fact {
    let version = if seen.is_cgroup_v2 { "v2" } else { "v1" };
    let driver = match seen.is_systemd {
        Some(true) => " systemd",
        Some(false) => " cgroupfs",
        None => "",
    };
    fact("cgroup", format!("{version}{driver}"), Verdict::Fine, "")
}

fn configured(seen: &Seen, name: &str) -> Option<bool> {
    let config = seen.kernel_config.as_ref()?;
    Some(
        config
            .get(name)
            .is_some_and(|value| value == "y" || value == "m"),
    )
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// The same for processors that can do the same.
fn processor(flags: &[String]) -> String {
    let mut flags = flags.to_vec();
    flags.sort();
    flags.dedup();
    let digest = Digest::of(flags.join(" ").as_bytes());
    digest.text().chars().take(16).collect()
}
