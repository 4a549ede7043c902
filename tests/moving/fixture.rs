//! Two nodes, and a pod on each of them that is the same but for its uid.

use crate::lab::{beside, own_name};
use holdfast::agent::rehearsal;
use holdfast::oci::place::{Place, Places};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RUNC: &str = "/usr/local/sbin/runc";
pub(crate) const NAMESPACE: &str = "shop";
pub(crate) const OPERATION: &str = "op-1";
pub(crate) const GENERATION: &str = "gen-1";

/// It lets go of what it inherited: that is outside of the container, and CRIU would not find it again. One file of its own layer stays
/// open, one is changed, one is deleted, one directory is new.
const COUNT: &str = "exec </dev/null >/dev/null 2>&1; exec 7>>/log; i=0; memory=$(busybox head -c 65536 /dev/zero | busybox tr '\\0' x); \
    echo changed > /etc/motd; busybox rm /gone; busybox mkdir /new; echo kept > /new/file; echo first > /cache/first; \
    while true; do i=$((i+1)); echo $i >> /cache/count; echo $i >&7; echo $i > /dev/shm/last; echo ${#memory} > /cache/memory; \
    busybox usleep 5000; done";

/// A node, with one pod of one container.
pub(crate) struct Node {
    pub(crate) agent: rehearsal::Node,
    pub(crate) name: &'static str,
    pub(crate) uid: &'static str,
    folder: PathBuf,
    network: Child,
}

impl Node {
    pub(crate) fn new(name: &'static str, uid: &'static str) -> Self {
        let folder = Path::new("/run/nodes").join(name);
        for part in ["opt/bin", "run/containers", "state", "runc", "shm", "image"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        let runtime = folder.join("opt/bin/holdfast-runtime");
        std::fs::copy(beside("holdfast-runtime"), runtime).unwrap();
        install(&folder, Path::new("/usr/local/sbin/criu"));
        let agent = agent(name, &folder);
        let mut network = Command::new("unshare");
        let network = network.args(["--net", "sleep", "1000"]).spawn().unwrap();
        let node = Self {
            agent,
            name,
            uid,
            folder,
            network,
        };
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        eventually("its pod has a network", || {
            std::fs::read_link(node.network_path()).is_ok_and(|its| its != own)
        });
        std::fs::create_dir_all(node.volume()).unwrap();
        node.sandbox(true);
        node
    }

    /// From now on this script stands in the place of CRIU, here.
    pub(crate) fn break_criu(&self, script: &str) -> PathBuf {
        let criu = self.folder.join("broken/criu");
        std::fs::create_dir_all(self.folder.join("broken")).unwrap();
        std::fs::write(&criu, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&criu, std::fs::Permissions::from_mode(0o755)).unwrap();
        install(&self.folder, &criu);
        criu
    }

    /// Its agent ends, and another one comes.
    pub(crate) fn restart_agent(&mut self) {
        self.agent = agent(self.name, &self.folder);
    }

    /// Its pod has a sandbox, or none.
    pub(crate) fn sandbox(&self, is_there: bool) {
        let places = Places::below(&self.folder.join("run"));
        let place = Place {
            id: format!("sandbox-{}", self.uid),
            root: self.folder.join("runc"),
            bundle: self.folder.clone(),
            namespace: NAMESPACE.into(),
            pod: format!("cart-{}", self.name),
            uid: self.uid.into(),
            container: None,
            sandbox: true,
            expects: None,
        };
        if is_there {
            places.put(&place).unwrap();
        } else {
            places.remove(&place.id).unwrap();
        }
    }

    fn network_path(&self) -> String {
        format!("/proc/{}/ns/net", self.network.id())
    }

    fn volume(&self) -> PathBuf {
        let pod = self.folder.join("pods").join(self.uid);
        pod.join("volumes/kubernetes.io~empty-dir/cache")
    }

    fn bundle(&self, id: &str) -> PathBuf {
        self.folder.join("bundles").join(id)
    }

    /// Makes the bundle of the pod's container, with a root as the image has it, and asks our runtime for the container.
    pub(crate) fn create(&self, id: &str) -> Child {
        self.create_named(id, "app")
    }

    /// The same of a container of another name.
    pub(crate) fn create_named(&self, id: &str, name: &str) -> Child {
        let id = &whole(id);
        let bundle = self.bundle(id);
        let (upper, work) = (bundle.join("upper"), bundle.join("work"));
        let (rootfs, image) = (bundle.join("rootfs"), self.folder.join("image"));
        for folder in [
            &upper,
            &work,
            &rootfs,
            &image.join("bin"),
            &image.join("etc"),
        ] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::copy(beside("busybox"), image.join("bin/busybox")).unwrap();
        std::fs::write(image.join("etc/motd"), "as in the image\n").unwrap();
        std::fs::write(image.join("gone"), "").unwrap();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            image.display(),
            upper.display(),
            work.display()
        );
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "overlay", "-o", &options]);
        assert!(mount.arg(&rootfs).status().unwrap().success());
        std::fs::write(
            bundle.join("config.json"),
            self.config(id, name).to_string(),
        )
        .unwrap();
        let log = self.folder.join(format!("{id}.log"));
        let mut command = self.runtime();
        command.args(["--log".as_ref(), log.as_os_str()]);
        command.args(["--log-format", "json", "create", "--bundle"]);
        command.arg(&bundle).arg("--pid-file");
        command.arg(self.folder.join(format!("{id}.pid"))).arg(id);
        // A container would hold a pipe open.
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        quiet.spawn().unwrap()
    }

    fn config(&self, id: &str, name: &str) -> Value {
        let tmpfs = |at: &str| json!({"destination": at, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]});
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
                "args": ["/bin/busybox", "sh", "-c", COUNT],
            },
            "root": {"path": "rootfs"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                tmpfs("/dev"),
                {"destination": "/dev/shm", "type": "bind", "source": self.folder.join("shm"), "options": ["rbind", "rw"]},
                {"destination": "/cache", "type": "bind", "source": self.volume(), "options": ["rbind", "rw"]},
            ],
            "annotations": {
                "io.kubernetes.cri.container-type": "container",
                "io.kubernetes.cri.container-name": name,
                "io.kubernetes.cri.sandbox-namespace": NAMESPACE,
                "io.kubernetes.cri.sandbox-name": format!("cart-{}", self.name),
                "io.kubernetes.cri.sandbox-uid": self.uid,
            },
            "linux": {
                "cgroupsPath": format!("/{}/{id}", own_name()),
                "namespaces": [
                    {"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"},
                    {"type": "network", "path": self.network_path()},
                ],
                "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            },
        })
    }

    /// Our runtime on this node.
    pub(crate) fn runtime(&self) -> Command {
        let mut command = Command::new(self.folder.join("opt/bin/holdfast-runtime"));
        command.args(["--root".as_ref(), self.folder.join("runc").as_os_str()]);
        command
    }

    /// A verb of it, which must go well; what it says.
    #[track_caller]
    pub(crate) fn well(&self, words: &[&str]) -> String {
        let words = words.iter().map(|word| whole(word));
        let words: Vec<_> = words.collect();
        let did = self.runtime().args(&words).output().unwrap();
        assert!(did.status.success(), "{words:?}: {did:?}");
        String::from_utf8(did.stdout).unwrap()
    }

    /// What the real runtime says of a container.
    pub(crate) fn status(&self, id: &str) -> Option<String> {
        let mut command = Command::new(RUNC);
        command.args(["--root".as_ref(), self.folder.join("runc").as_os_str()]);
        let did = command.args(["state", &whole(id)]).output().unwrap();
        let state: Value = serde_json::from_slice(&did.stdout).ok()?;
        state["status"].as_str().map(str::to_owned)
    }

    /// Whether what is in a container's cgroups is told to stand still.
    pub(crate) fn stands_still(id: &str) -> bool {
        let own = Path::new(&own_name()).join(whole(id));
        let files = hierarchies().into_iter().flat_map(|root| {
            [("freezer.state", "THAWED"), ("cgroup.freeze", "0")]
                .map(|(file, runs)| (root.join(&own).join(file), runs))
        });
        let said: Vec<_> = files
            .filter_map(|(file, runs)| Some(std::fs::read_to_string(file).ok()?.trim() != runs))
            .collect();
        assert!(!said.is_empty(), "no cgroup of {id} says so");
        said.contains(&true)
    }

    /// What the log of a `create` says last.
    pub(crate) fn logged(&self, id: &str) -> String {
        let name = format!("{}.log", whole(id));
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// The first process of a container.
    pub(crate) fn init(&self, id: &str) -> i32 {
        let path = self.folder.join(format!("{}.pid", whole(id)));
        std::fs::read_to_string(path).unwrap().parse().unwrap()
    }

    pub(crate) fn counts(&self) -> Vec<u64> {
        let text = self.cache("count");
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| line.parse().unwrap()).collect()
    }

    pub(crate) fn cache(&self, name: &str) -> String {
        std::fs::read_to_string(self.volume().join(name)).unwrap_or_default()
    }

    /// Whether it counts on.
    #[track_caller]
    pub(crate) fn counts_on(&self) {
        let before = self.counts().len();
        eventually("it counts on", || self.counts().len() > before + 5);
    }
}

impl Drop for Node {
    /// What is frozen would keep the machine from ending.
    fn drop(&mut self) {
        let bundles = std::fs::read_dir(self.folder.join("bundles"));
        for entry in bundles.into_iter().flatten().flatten() {
            let id = entry.file_name();
            let own = Path::new(&own_name()).join(&id);
            let mut delete = Command::new(RUNC);
            delete.args(["--root".as_ref(), self.folder.join("runc").as_os_str()]);
            delete.args(["delete", "--force"]).arg(&id);
            for hierarchy in hierarchies() {
                std::fs::write(hierarchy.join(&own).join("freezer.state"), "THAWED").ok();
                std::fs::write(hierarchy.join(&own).join("cgroup.freeze"), "0").ok();
            }
            delete.stderr(Stdio::null()).status().ok();
            for hierarchy in hierarchies() {
                std::fs::remove_dir(hierarchy.join(&own)).ok();
                let attempt = format!("holdfast/attempt-{}", id.display());
                std::fs::remove_dir(hierarchy.join(attempt)).ok();
                std::fs::remove_dir(hierarchy.join(own_name())).ok();
            }
        }
        self.network.kill().ok();
        self.network.wait().ok();
    }
}

/// What an installation says.
fn install(folder: &Path, criu: &Path) {
    let settings = json!({
        "real": RUNC,
        "criu": criu,
        "socket": folder.join("run/agent.sock"),
        "run": folder.join("run"),
        "records": folder.join("state/records"),
        "patience": 1,
    });
    std::fs::write(folder.join("opt/runtime.json"), settings.to_string()).unwrap();
}

fn agent(name: &str, folder: &Path) -> rehearsal::Node {
    let prefix: &'static str = Box::leak(folder.join("opt").display().to_string().into());
    let prefixes: &'static [&'static str] = Box::leak(Box::new([prefix]));
    let (run, state) = (folder.join("run"), folder.join("state"));
    let agent = rehearsal::Node::open(name, (&run, &state), prefixes).unwrap();
    agent.serve().unwrap();
    agent
}

/// A container's id, of what tests call it, `c1`: no other run has it. Every other word stays as it is.
fn whole(word: &str) -> String {
    match word.as_bytes() {
        [b'c' | b'i', b'0'..=b'9'] => format!("{word}-{}", own_name()),
        _ => word.to_owned(),
    }
}

/// The processes in a container's cgroups and in those of its attempts.
pub(crate) fn processes(id: &str) -> String {
    let id = whole(id);
    let names = [
        format!("{}/{id}", own_name()),
        format!("holdfast/attempt-{id}"),
    ];
    let all = hierarchies();
    let all = all
        .iter()
        .flat_map(|root| names.iter().map(move |name| root.join(name)));
    all.map(|path| std::fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default())
        .collect()
}

/// The mounted hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let is_cgroup = |line: &&str| line.contains(" - cgroup");
    let point = |line: &str| PathBuf::from(line.split(' ').nth(4).unwrap());
    mounts.lines().filter(is_cgroup).map(point).collect()
}

/// Waits until something is so; a test that waits in vain says for what.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "waited in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
