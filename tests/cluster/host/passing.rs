//! A node with `holdfast` on it, and a runtime that passes everything on and says what it saw.

use crate::world::{World, text};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::Output;

/// The node that most is done on.
pub(super) const NODE: &str = "node1";
/// Where the runtime lies before it is installed.
pub(super) const PASSING: &str = "/root/hf/holdfast-runtime";

/// Passes everything on to the real runtime; of a `create` it keeps what the bundle says.
const PROGRAM: &str = r#"#!/bin/sh
real=$(sed -n 's/.*"real": "\(.*\)".*/\1/p' "$(dirname "$0")/../runtime.json")
case " $* " in *' create '*) cat config.json >> /root/hf/holdfast-runtime.seen ;; esac
exec "$real" "$@"
"#;

/// A counter, frozen and brought back by the programs that were brought.
pub(super) const CHECKPOINT_AND_RESTORE: &str = include_str!("checkpoint.sh");

/// A node that has the programs, not installed yet.
pub(super) struct Node<'a> {
    world: &'a World,
    name: &'a str,
}

impl<'a> Node<'a> {
    pub(super) fn new(world: &'a World, name: &'a str) -> Self {
        let node = Self { world, name };
        if node.sh("ls /root/hf 2>/dev/null || true").is_empty() {
            world.put_on_node(
                name,
                "/root/hf/holdfast",
                Path::new(env!("CARGO_BIN_EXE_holdfast")),
            );
            let script =
                std::env::temp_dir().join(format!("holdfast-passing-{}", std::process::id()));
            let mut file = std::fs::File::create(&script).unwrap();
            file.write_all(PROGRAM.as_bytes()).unwrap();
            world.put_on_node(name, PASSING, &script);
            std::fs::remove_file(script).unwrap();
        }
        node
    }

    /// A script on the node, which must succeed.
    pub(super) fn sh(&self, script: &str) -> String {
        let done = self.world.on_node(self.name, script);
        assert!(
            done.status.success(),
            "{script}\n{}{}",
            text(&done.stdout),
            text(&done.stderr)
        );
        text(&done.stdout)
    }

    /// A verb of `holdfast host`, whatever comes of it.
    pub(super) fn holdfast(&self, verb: &str, words: &[&str], environment: &str) -> Output {
        let words: Vec<_> = words
            .iter()
            .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
            .collect();
        let script = format!(
            "{environment} /root/hf/holdfast host {verb} -o json {}",
            words.join(" ")
        );
        self.world.on_node(self.name, script.trim())
    }

    pub(super) fn install(&self, words: &[&str]) -> Value {
        Self::answer(&self.holdfast("install", words, ""))
    }

    pub(super) fn uninstall(&self) -> Value {
        Self::answer(&self.holdfast("uninstall", &[], ""))
    }

    /// A verb that dies at a fault point, and must have come there.
    pub(super) fn dies(&self, verb: &str, die: &str, point: &str) {
        let done = self.holdfast(verb, &[], die);
        let told = text(&done.stderr);
        assert!(
            told.contains(&format!("fault point {point}: the process ends here")),
            "{verb} never reached {point}:\n{told}"
        );
    }

    /// Names and digests of all that containerd reads.
    pub(super) fn configuration(&self) -> String {
        self.sh("find /etc/containerd -exec ls -ld --time-style=+ {} + ; find /etc/containerd -type f -exec sha256sum {} +")
    }

    /// Which process containerd is.
    pub(super) fn containerd(&self) -> String {
        self.sh("cat /run/world/containerd.pid")
    }

    /// Copies a directory of this machine.
    pub(super) fn put_folder(&self, to: &str, from: &str) {
        let archive =
            std::env::temp_dir().join(format!("holdfast-folder-{}.tar", std::process::id()));
        let packed = std::process::Command::new("tar")
            .arg("-C")
            .arg(from)
            .arg("-cf")
            .arg(&archive)
            .arg(".")
            .status()
            .unwrap();
        assert!(packed.success());
        self.world
            .put_on_node(self.name, "/root/hf/folder.tar", &archive);
        std::fs::remove_file(archive).unwrap();
        self.sh(&format!("rm -rf {to}; mkdir -p {to}; tar -C {to} -xf /root/hf/folder.tar; rm /root/hf/folder.tar"));
    }

    fn answer(done: &Output) -> Value {
        assert!(
            done.status.success(),
            "{}{}",
            text(&done.stdout),
            text(&done.stderr)
        );
        serde_json::from_slice(&done.stdout).unwrap()
    }
}
