//! At the gate: a runtime that is to dump has begun before anything stands still, and its CRIU looks at no process before it may.

use crate::fixture::Node;
use crate::lab::{RUNC, lab};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// Requests to CRIU, whose first field is what they are.
const DUMP: &[u8] = &[8, 1, 18, 0];
const VERSION: &[u8] = &[8, 10];

/// A runtime that has asked CRIU for something.
struct Asked {
    runtime: Child,
    /// CRIU's end of their socket, and the runtime's.
    ends: (OwnedFd, OwnedFd),
    /// The real CRIU has written there that it was called.
    called: PathBuf,
}

impl Asked {
    fn of(node: &Node, request: &[u8]) -> Self {
        let seqpacket = SocketType::SEQPACKET;
        let (theirs, ours) =
            socketpair(AddressFamily::UNIX, seqpacket, SocketFlags::empty(), None).unwrap();
        fcntl_setfd(&ours, FdFlags::CLOEXEC).unwrap();
        send(&ours, request, SendFlags::empty()).unwrap();
        let called = node.path("called");
        for folder in ["gate", "real-criu"] {
            std::fs::create_dir_all(node.path(folder)).unwrap();
        }
        let script = format!("#!/bin/sh\necho $PATH $@ > {}\n", called.display());
        node.write_program("real-criu/criu", &script);
        std::os::unix::fs::symlink(node.path("bin/holdfast-runtime"), node.path("gate/criu"))
            .unwrap();
        let programs = format!("{}:/usr/bin:/bin", node.path("real-criu").display());
        let mut command = lab().command("/bin/sh");
        command
            .args(["-c", &format!("criu swrk {}; exit $?", theirs.as_raw_fd())])
            .env(
                "PATH",
                format!("{}:{programs}", node.path("gate").display()),
            )
            .env("HOLDFAST_PROGRAMS", &programs);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self {
            runtime: command.stderr(Stdio::piped()).spawn().unwrap(),
            ends: (theirs, ours),
            called,
        }
    }

    /// It says that it is so far.
    fn is_there(&mut self) {
        let mut said = [0];
        let out = self.runtime.stdout.as_mut().unwrap();
        out.read_exact(&mut said).unwrap();
        assert_eq!(said, *b"\n");
        assert!(!self.called.exists(), "CRIU waits");
    }

    fn ends(self) -> (bool, String, OwnedFd) {
        let output = self.runtime.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said, self.ends.0)
    }
}

#[test]
fn a_dump_waits_for_the_word_and_is_asked_for_as_it_was() {
    let node = Node::new(RUNC);
    let mut asked = Asked::of(&node, DUMP);
    asked.is_there();
    let mut word = asked.runtime.stdin.take().unwrap();
    word.write_all(b"\n").unwrap();
    let called = asked.called.clone();
    let (is_well, said, theirs) = asked.ends();
    assert!(is_well, "{said}");
    let real = std::fs::read_to_string(called).unwrap();
    let path = node.path("real-criu");
    assert!(real.starts_with(path.to_str().unwrap()), "no gate: {real}");
    assert!(real.contains(" swrk "), "{real}");
    let mut request = [0; 16];
    let (length, _) = recv(&theirs, &mut request, RecvFlags::DONTWAIT).unwrap();
    assert_eq!(&request[..length], DUMP);
}

#[test]
fn without_the_word_nothing_is_dumped() {
    let node = Node::new(RUNC);
    let mut asked = Asked::of(&node, DUMP);
    asked.is_there();
    drop(asked.runtime.stdin.take());
    let called = asked.called.clone();
    let (is_well, said, _) = asked.ends();
    assert!(!is_well && said.contains("/fd/0"), "{said}");
    assert!(!called.exists());
}

#[test]
fn who_asks_for_a_version_is_answered_at_once() {
    let node = Node::new(RUNC);
    let mut asked = Asked::of(&node, VERSION);
    let word = asked.runtime.stdin.take();
    let called = asked.called.clone();
    let (is_well, said, _) = asked.ends();
    assert!(is_well, "{said}");
    assert!(called.exists());
    drop(word);
}
