//! A mount namespace with the root of a node: Debian, runc 1.4 and 1.1, crun, CRIU. One for all tests of a run; it goes when the run
//! ends, since whoever holds it reads a pipe of ours to its end.

use crate::parts::layers;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// runc 1.4, as the nodes of the world have it.
pub(crate) const RUNC: &str = "/usr/local/sbin/runc";
/// runc 1.1, as Debian has it.
pub(crate) const OLD_RUNC: &str = "/usr/sbin/runc";
/// crun, as Debian has it.
pub(crate) const CRUN: &str = "/usr/bin/crun";

const HOLD: &str = r#"
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
mkdir -p "$1/root$3" "$1/root/.before"
mount --rbind "$3" "$1/root$3"
for each in proc sys dev; do mount --rbind /$each "$1/root/$each"; done
mount -t tmpfs tmpfs "$1/root/run"
# crun refuses a machine that has both versions of cgroups, with controllers in each.
if mountpoint -q "$1/root/sys/fs/cgroup/unified"; then umount "$1/root/sys/fs/cgroup/unified"; fi
cd "$1/root"
pivot_root . .before
exec chroot . sh -c 'umount -l /.before; echo ready; exec cat'
"#;

pub(crate) struct Lab {
    holder: Child,
}

/// The one of this run.
pub(crate) fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(Lab::open)
}

/// Where tests may write; it is at the same place inside.
pub(crate) fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

impl Lab {
    fn open() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests make containers: run them as root"
        );
        // Containers that their runtime left become children of this process, which can tell how they end.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        std::fs::create_dir_all(scratch()).unwrap();
        let empty = scratch().join("lab");
        std::fs::create_dir_all(&empty).unwrap();
        let mut holder = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-euc",
                HOLD,
                "sh",
            ])
            .args([empty.as_os_str(), layers().as_ref(), scratch().as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line);
        assert_eq!(
            (said.unwrap(), line.as_str()),
            (6, "ready\n"),
            "the lab did not open"
        );
        Self { holder }
    }

    /// A program that is run inside.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let holder = self.holder.id();
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{holder}/ns/mnt"))
            .arg(format!("--root=/proc/{holder}/root"))
            .args(["--wdns=/", "--"])
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }
}
