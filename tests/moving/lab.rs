//! A machine of a test's own: mounts, process numbers and root of a node of the world. The test runs itself once more inside of it, since
//! an agent looks at the machine's first process; with the machine all of it goes.

use crate::parts::layers;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// Set inside.
const INSIDE: &str = "HOLDFAST_TEST_INSIDE";
/// The program that enters hosts, and the test beside it, as they lie in an image.
const RUNTIME: &str = "holdfast-runtime";

const OPEN: &str = r#"
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
mkdir -p "$1/root$3" "$1/root/.before"
mount --rbind "$3" "$1/root$3"
for each in sys dev; do mount --rbind /$each "$1/root/$each"; done
mount -t proc proc "$1/root/proc"
mount -t tmpfs tmpfs "$1/root/run"
if mountpoint -q "$1/root/sys/fs/cgroup/unified"; then umount "$1/root/sys/fs/cgroup/unified"; fi
cd "$1/root"
shift 3
pivot_root . .before
exec chroot . sh -c 'umount -l /.before; "$@"; exit $?' sh "$@"
"#;

/// So many machines were made.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Runs a test inside.
pub(crate) fn inside(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests make containers: run them as root"
    );
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Tests run beside each other: what each makes on the machine has names of its own.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let number = format!("{}-{count}", std::process::id());
    let folder = scratch.join(format!("moving-{number}"));
    let empty = folder.join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let program = installed(&folder);
    let status = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child"])
        .args(["--propagation", "private", "sh", "-euc", OPEN, "sh"])
        .args([empty.as_os_str(), layers().as_ref(), folder.as_os_str()])
        .arg(program)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, &number)
        .env("PATH", "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")
        .status()
        .unwrap();
    std::fs::remove_dir_all(&folder).ok();
    assert!(status.success(), "inside it failed: {status}");
}

fn installed(folder: &Path) -> PathBuf {
    let program = folder.join("moving");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    // A static one, where one is named: only that runs where there is no library.
    let named = std::env::var_os("HOLDFAST_RUNTIME").filter(|path| !path.is_empty());
    let runtime = named.unwrap_or_else(|| env!("CARGO_BIN_EXE_holdfast-runtime").into());
    std::fs::copy(runtime, folder.join(RUNTIME)).unwrap();
    std::fs::copy(crate::parts::busybox(), folder.join("busybox")).unwrap();
    program
}

/// A name that no other run uses.
pub(crate) fn own_name() -> String {
    let number = std::env::var(INSIDE).unwrap();
    format!("holdfast-moving-{number}")
}

/// What lies beside the test, inside.
pub(crate) fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(name)
}
