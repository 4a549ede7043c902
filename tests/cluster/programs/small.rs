//! Programs of the tests' own, each with as much as possible of one thing that a kernel keeps.

use super::driver::{self, GROWS, Program, SAME};
use serde_json::json;

const SERVE: &str = include_str!("serve.py");

pub(super) const PROCESSES: Program = Program {
    name: "processes",
    keeps: "four processes (one of another user, one with a session, limits and a niceness of its own) with two threads each, and a zombie; pipes and a pair of sockets with bytes that nobody has read yet; memory that is shared, mapped from files and of no file; a deleted file; locks; timers; signals that are held back",
    is_quick: true,
    spec: || driver::python(&[SERVE, include_str!("processes.py")]),
    prepare: &[],
    same: &[SAME],
    grows: &[GROWS],
    after: &["echo finish | busybox nc 127.0.0.1 8000 | tee /dev/stderr | grep 'all well'"],
};

pub(super) const FILES: Program = Program {
    name: "files",
    keeps: "every file of the container with owner, mode, time, links and extended attributes, changed, new or deleted, and the same in an emptyDir and in `/dev/shm`; files that are open: one that grows, one that is deleted, one of two names, a folder, and sockets that listen",
    is_quick: true,
    spec: || {
        let mut spec = driver::python(&[SERVE, include_str!("files.py")]);
        spec["containers"][0]["volumeMounts"] =
            json!([{ "name": "shared", "mountPath": "/shared" }]);
        spec["volumes"] = json!([{ "name": "shared", "emptyDir": {} }]);
        spec
    },
    prepare: &[],
    same: &[SAME],
    grows: &[GROWS],
    after: &[
        "test ! -e /etc/issue.net",
        "test \"$(cat /etc/terminfo/new)\" = new",
    ],
};

pub(super) const MEMORY: Program = Program {
    name: "memory",
    keeps: "a GiB of memory with its checksum",
    is_quick: false,
    spec: || driver::python(&[SERVE, include_str!("memory.py")]),
    prepare: &[],
    same: &[SAME],
    grows: &[GROWS],
    after: &[],
};
