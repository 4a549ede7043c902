//! Which flags of the OCI runtimes are followed by a value: runc 1.1 to 1.4 and crun, by verb.
//!
//! The scanner must know this, and nothing more: what a flag means stays between the caller and the real runtime.

/// A flag that takes a value, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag {
    /// Without dashes.
    pub(super) long: &'static str,
    /// Its one letter.
    pub(super) short: Option<u8>,
    /// Whether the next argument belongs to it.
    pub(super) has_value: bool,
}

const fn switch(long: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        has_value: false,
    }
}

const fn value(long: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        has_value: true,
    }
}

impl Flag {
    const fn or(self, short: u8) -> Self {
        Self {
            short: Some(short),
            ..self
        }
    }
}

/// Before the verb.
pub(super) const GLOBAL: &[Flag] = &[
    switch("debug"),
    value("log"),
    value("log-format"),
    value("log-level"),
    value("root"),
    value("criu"),
    value("rootless"),
    switch("systemd-cgroup"),
    value("cgroup-manager"),
    switch("help").or(b'h'),
    switch("usage"),
    switch("version").or(b'v'),
];

const CREATE: &[Flag] = &[
    value("bundle").or(b'b'),
    value("config").or(b'f'),
    value("console-socket"),
    value("pidfd-socket"),
    value("pid-file"),
    value("preserve-fds"),
    switch("detach").or(b'd'),
    switch("keep"),
    switch("no-pivot"),
    switch("no-new-keyring"),
    switch("no-subreaper"),
    switch("help").or(b'h'),
    switch("usage"),
];

const EXEC: &[Flag] = &[
    value("console-socket"),
    value("pidfd-socket"),
    value("cwd"),
    value("env").or(b'e'),
    switch("tty").or(b't'),
    value("user").or(b'u'),
    value("additional-gids").or(b'g'),
    value("process").or(b'p'),
    switch("detach").or(b'd'),
    value("pid-file"),
    value("process-label"),
    value("apparmor"),
    switch("no-new-privs"),
    value("cap").or(b'c'),
    value("preserve-fds"),
    value("cgroup"),
    switch("ignore-paused"),
    switch("no-subreaper"),
    switch("help").or(b'h'),
    switch("usage"),
];

const KILL: &[Flag] = &[
    switch("all").or(b'a'),
    switch("regex").or(b'r'),
    switch("help").or(b'h'),
    switch("usage"),
];

const DELETE: &[Flag] = &[
    switch("force").or(b'f'),
    switch("regex").or(b'r'),
    switch("help").or(b'h'),
    switch("usage"),
];

const UPDATE: &[Flag] = &[
    value("resources").or(b'r'),
    value("blkio-weight"),
    value("cpu-period"),
    value("cpu-quota"),
    value("cpu-burst"),
    value("cpu-share"),
    value("cpu-rt-period"),
    value("cpu-rt-runtime"),
    value("cpuset-cpus"),
    value("cpuset-mems"),
    value("cpu-idle"),
    value("memory"),
    value("memory-reservation"),
    value("memory-swap"),
    value("kernel-memory"),
    value("kernel-memory-tcp"),
    value("pids-limit"),
    value("l3-cache-schema"),
    value("mem-bw-schema"),
    switch("help").or(b'h'),
    switch("usage"),
];

const IMAGES: &[Flag] = &[
    value("image-path"),
    value("work-path"),
    value("parent-path"),
    value("status-fd"),
    value("page-server"),
    value("manage-cgroups-mode"),
    value("empty-ns"),
    value("bundle").or(b'b'),
    value("console-socket"),
    value("pid-file"),
    value("lsm-profile"),
    value("lsm-mount-context"),
    switch("network-lock"),
    switch("detach").or(b'd'),
    switch("leave-running"),
    switch("tcp-established"),
    switch("tcp-skip-in-flight"),
    switch("link-remap"),
    switch("ext-unix-sk"),
    switch("shell-job"),
    switch("lazy-pages"),
    switch("file-locks"),
    switch("pre-dump"),
    switch("auto-dedup"),
    switch("no-subreaper"),
    switch("no-pivot"),
    switch("help").or(b'h'),
    switch("usage"),
];

const PLAIN: &[Flag] = &[
    value("format").or(b'f'),
    value("interval"),
    switch("stats"),
    switch("help").or(b'h'),
    switch("usage"),
];

/// After a verb. A verb that is not listed has the flags that most of them have.
pub(super) fn of_verb(verb: &[u8]) -> &'static [Flag] {
    match verb {
        b"create" | b"run" => CREATE,
        b"exec" => EXEC,
        b"kill" => KILL,
        b"delete" => DELETE,
        b"update" => UPDATE,
        b"checkpoint" | b"restore" => IMAGES,
        _ => PLAIN,
    }
}
