//! What files of the node tell CRIU. What stands in them overrules what we tell it with each call; they are somebody else's, and stay.

use super::{Fact, Verdict, fact};

/// Where the real runtime and CRIU look by themselves.
pub(crate) const FILES: [&str; 3] = [
    "/etc/criu/runc.conf",
    "/etc/criu/default.conf",
    "/root/.criu/default.conf",
];
/// What we say too, and what changes nothing in a state. With a value, only with that one.
const HARMLESS: [&str; 11] = [
    "tcp-close",
    "skip-in-flight",
    "tcp-skip-in-flight",
    "file-locks",
    "ghost-limit",
    "enable-fs",
    "display-stats",
    "verbosity",
    "log-level",
    "manage-cgroups ignore",
    "manage-cgroups-mode ignore",
];

/// The options in a file, each with its value, as CRIU reads it.
pub(crate) fn read(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| {
        let told = line.split('#').next().unwrap_or_default().replace('=', " ");
        let words: Vec<_> = told.split_whitespace().collect();
        words.join(" ").trim_start_matches("--").to_owned()
    });
    lines.filter(|option| !option.is_empty()).collect()
}

pub(super) fn judge(said: &[(&'static str, Vec<String>)]) -> Fact {
    let found = said.iter().flat_map(|(file, options)| {
        let others = options.iter().filter(|option| !is_harmless(option));
        others.map(move |option| format!("{option} ({file})"))
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return fact("criu options", "ours", Verdict::Fine, "");
    }
    fact(
        "criu options",
        found.join(", "),
        Verdict::Note,
        "this overrules what Holdfast tells CRIU in a dump and in a restore, of pods that move too: take it out, or see that it is meant",
    )
}

fn is_harmless(option: &str) -> bool {
    let name = option.split(' ').next().unwrap_or_default();
    HARMLESS.iter().any(|one| *one == option || *one == name)
        || name.chars().all(|letter| letter == 'v')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_tell_criu_is_told_and_what_we_tell_it_too_is_not() {
        let earlier = read(
            "# by an earlier installer\ntcp-established\ntcp-close\nenable-fs all\n\n  --manage-cgroups=full # all\n",
        );
        assert_eq!(
            earlier,
            [
                "tcp-established",
                "tcp-close",
                "enable-fs all",
                "manage-cgroups full"
            ]
        );
        let fact = judge(&[(FILES[0], earlier), (FILES[1], read("log-file=/tmp/x\n"))]);
        assert_eq!(fact.verdict, Verdict::Note);
        assert_eq!(
            fact.value,
            "tcp-established (/etc/criu/runc.conf), manage-cgroups full (/etc/criu/runc.conf), log-file /tmp/x (/etc/criu/default.conf)"
        );
        let usual =
            read("tcp-close\nskip-in-flight\nmanage-cgroups=ignore\nghost-limit 100M\nvvvv\n");
        assert_eq!(judge(&[(FILES[0], usual)]).verdict, Verdict::Fine);
        assert_eq!(judge(&[]).value, "ours");
    }
}
