//! What the world builds for the root of a node.

use std::path::{Path, PathBuf};
use std::process::Command;

/// busybox, which needs nothing else.
pub(crate) fn busybox() -> PathBuf {
    part("debian").join("usr/bin/busybox")
}

/// The layers of a node's root, the uppermost first.
pub(crate) fn layers() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:\t"))
        .unwrap();
    let has_sys_resource = u64::from_str_radix(capabilities, 16).unwrap() & (1 << 24) != 0;
    let shim = (!has_sys_resource).then_some("shim");
    let names = shim.into_iter().chain(["runc", "crun", "criu", "debian"]);
    let paths = names.map(|name| part(name).display().to_string());
    paths.collect::<Vec<_>>().join(":")
}

/// What the world builds under this name.
fn part(name: &str) -> PathBuf {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/world");
    let built = Command::new(world).args(["build", name]).output().unwrap();
    let said = String::from_utf8_lossy(&built.stdout);
    let path = said
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}: ")));
    path.unwrap_or_else(|| {
        panic!(
            "`world build {name}`: {said}{}",
            String::from_utf8_lossy(&built.stderr)
        )
    })
    .into()
}
