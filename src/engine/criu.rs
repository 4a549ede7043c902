//! CRIU's log, as a sentence that says what to change.

/// What CRIU says, in its log, and what that means. `{}` stands for what follows in the line.
const KNOWN: &[(&[&str], &str)] = &[
    (
        &["opt: Operation not supported"],
        "this CRIU is too old for the node's kernel: it takes CRIU 4.2 or newer",
    ),
    (
        &["rlimit", "Operation not permitted"],
        "CRIU may not read the limits of a process of another user: it lacks the capability SYS_RESOURCE",
    ),
    (
        &["Connected TCP socket"],
        "the container has an established TCP connection, and the policy does not let it be closed",
    ),
    (
        &["tcp-established"],
        "the container has an established TCP connection, and the policy does not let it be closed",
    ),
    (
        &["External socket is used"],
        "a Unix socket of the container is connected to a process outside of it",
    ),
    (
        &["ext-unix-sk"],
        "a Unix socket of the container is connected to a process outside of it",
    ),
    (
        &["Can't dump ghost file"],
        "a file that is deleted and still open is larger than CRIU carries",
    ),
    (
        &["Can't create link remap"],
        "a file is open by a name that was deleted, and has another one: CRIU would have to look for that",
    ),
    (
        &["io_uring"],
        "the container uses io_uring, which CRIU cannot dump: give its pod `seccompProfile: {type: RuntimeDefault}`, which keeps programs from it",
    ),
    (
        &["Can't lookup mount="],
        "a process has a file open that lies in another container or on the host",
    ),
    (
        &["fsnotify", "Can't find suitable path"],
        "a process watches a file that was replaced meanwhile, as Kubernetes does with ConfigMaps, Secrets and tokens",
    ),
    (
        &["Unseizable"],
        "a process could not be stopped: it sits in the kernel, or the cgroup above it is frozen",
    ),
    (
        &["Timeout reached"],
        "the processes could not be stopped in time",
    ),
    (
        &["SysVIPC shmem map"],
        "the container uses System V shared memory of its pod, which cannot be dumped with one container",
    ),
    (
        &["shell-job"],
        "the container has a terminal that belongs to somebody else",
    ),
    (
        &["Orphan tty"],
        "the container has a terminal that belongs to somebody else",
    ),
    (
        &["iptables-restore"],
        "the container has a network of its own, and the node has no iptables to keep it still with",
    ),
    (
        &["has bad size"],
        "a file that was open is not the one that was dumped",
    ),
    (
        &["has bad mode"],
        "a file that was open is not the one that was dumped",
    ),
    (
        &["Can't open file", "on restore"],
        "a file that was open is not there",
    ),
    (&["No space left on device"], "the disk is full"),
    (&["Magic doesn't match"], "the images are damaged"),
    (&["Unexpected EOF on"], "the images are cut off"),
    (&["Can't read image entry"], "the images are damaged"),
    (
        &["CPU capabilities"],
        "this node's processor lacks features that the program may use",
    ),
    (
        &["cpu:", "mismatch"],
        "this node's processor lacks features that the program may use",
    ),
    (
        &["Can't fork for", "File exists"],
        "a process with the same number lives already: the pod shares its process numbers with another",
    ),
    (
        &["userns"],
        "the container has a user namespace, which cannot be carried",
    ),
];

/// How long a line of CRIU's may be in a sentence of ours.
const LONGEST: usize = 240;

/// Why CRIU failed, as far as its log says; `nothing` where it says nothing.
#[must_use]
pub fn why(log: &str) -> Option<String> {
    let errors = errors(log);
    // What came first is the cause; what follows is how it gave up.
    for line in &errors {
        let known = KNOWN
            .iter()
            .find(|(words, _)| words.iter().all(|word| line.contains(word)));
        if let Some((_, sentence)) = known {
            return Some(format!("{sentence} (CRIU: {})", said(line)));
        }
    }
    errors.first().map(|line| format!("CRIU: {}", said(line)))
}

/// The lines of a log that tell errors, but those that are none.
#[must_use]
pub fn errors(log: &str) -> Vec<&str> {
    // It would like more files open than it needs.
    let is_harmless = |line: &str| line.contains("RLIMIT_NOFILE");
    let lines = log.lines();
    lines
        .filter(|line| line.contains("Error (") && !is_harmless(line))
        .collect()
}

/// What a line says without its time, process and place in CRIU's source.
fn said(line: &str) -> String {
    let text = line.split_once("Error (").map_or(line, |(_, rest)| rest);
    let text = text.split_once("): ").map_or(text, |(_, rest)| rest);
    text.trim().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_that_is_known_is_told() {
        let log = "(00.010) Dumping\n\
            (00.021) Error (criu/sockets.c:140): sockets: Can't get 1:16 opt: Operation not supported\n\
            (00.022) Error (criu/cr-dump.c:1669): Dump files (pid: 7) failed with -1\n\
            (00.030) Error (criu/cr-dump.c:2111): Dumping FAILED.\n";
        assert_eq!(
            why(log).unwrap(),
            "this CRIU is too old for the node's kernel: it takes CRIU 4.2 or newer (CRIU: sockets: Can't get 1:16 opt: Operation not supported)"
        );
    }

    const MET: &[(&str, &str)] = &[
        (
            "Error (criu/sk-inet.c:188): inet: Connected TCP socket, consider using --tcp-established option.",
            "established TCP",
        ),
        (
            "Error (criu/sk-unix.c:871): unix: External socket is used. Consider using --ext-unix-sk option.",
            "outside of it",
        ),
        (
            "Error (criu/files-reg.c:1046): Can't dump ghost file /tmp/x of 9 size, increase limit",
            "larger than CRIU carries",
        ),
        (
            "Error (criu/files-reg.c:1122): Can't create link remap for /var/files/one. Use link-remap option.",
            "has another one",
        ),
        (
            "Error (criu/files-ext.c:99): Can't dump file 5 of that type [600] (unknown /anon_inode:[io_uring])",
            "RuntimeDefault",
        ),
        (
            "Error (criu/files-reg.c:1800): Can't lookup mount=99 for fd=3 path=/x",
            "another container or on the host",
        ),
        (
            "Error (criu/fsnotify.c:274): fsnotify: Can't find suitable path for handle (dev 0 ino 7): -2",
            "ConfigMaps",
        ),
        (
            "Error (compel/src/lib/infect.c:418): Unseizable non-zombie 9 found, state D, err -1/4",
            "could not be stopped",
        ),
        (
            "Error (criu/pie/parasite.c): Can't get rlimit 0: Operation not permitted",
            "SYS_RESOURCE",
        ),
        (
            "Error (criu/files-reg.c:2142): File tmp/log has bad size 7 (expect 9)",
            "not the one that was dumped",
        ),
        (
            "Error (criu/files-reg.c:2098): Can't open file tmp/x on restore: No such file or directory",
            "is not there",
        ),
        (
            "Error (criu/image.c:511): Can't write: No space left on device",
            "disk is full",
        ),
        (
            "Error (criu/image.c:400): Magic doesn't match for pages-1.img",
            "damaged",
        ),
        (
            "Error (criu/cr-restore.c:1400): Can't fork for 12: File exists",
            "same number",
        ),
    ];

    #[test]
    fn each_thing_that_users_meet_has_its_sentence() {
        for (line, says) in MET {
            let told = why(line).unwrap();
            assert!(told.contains(says), "{told}");
        }
    }

    #[test]
    fn what_is_not_known_is_told_in_crius_own_words() {
        assert_eq!(
            why("Error (criu/rlimit.c:20): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted\nError (x.c:1): why\n").unwrap(),
            "CRIU: why"
        );
        assert_eq!(
            why("(00.1)  7: Error (criu/new.c:1): a new thing\n").unwrap(),
            "CRIU: a new thing"
        );
        assert_eq!(why("all went well\n"), None);
        let long = format!("Error (x): {}", "ä".repeat(1000));
        assert!(why(&long).unwrap().chars().count() < 260);
    }
}
