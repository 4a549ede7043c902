//! `host check`: reads what a node is. Nothing is changed.

use super::commands;
use super::configure::learn;
use super::disk;
use super::facts::{FAULT, Fact, RESTORE, SECCOMP, Seen, TIME, judge, options};
use super::handler::PROGRAM;
use super::node::{Node, Settings};
use super::parts;
use super::prefix::{self, PROGRAMS};
use super::programs::{ask_all, usable};
use super::root;
use super::service::knows_handler;
use crate::kit::error::{Error, chain};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where kubelets have their configuration.
const KUBELET: [&str; 5] = [
    "/var/lib/kubelet/config.yaml",
    "/etc/kubernetes/kubelet.yaml",
    "/etc/kubernetes/kubelet/config.json",
    "/etc/kubernetes/kubelet/kubelet-config.json",
    "/home/kubernetes/kubelet-config.yaml",
];
/// It tries out what the kernel can do; a machine may be busy.
const CRIU_CHECK: Duration = Duration::from_secs(60);
/// A kernel's configuration is some hundred thousand bytes.
const CONFIG_MAX: u64 = 4 << 20;

/// Reads and judges a node.
///
/// # Errors
/// The root cannot be entered, or a record of ours cannot be read. What is wrong with the node is a fact and no error.
pub async fn check(settings: &Settings) -> Result<Vec<Fact>, Error> {
    let entered = root::enter(&settings.root)?;
    let seen = look(settings).await;
    entered.leave()?;
    Ok(judge(&seen?))
}

async fn look(settings: &Settings) -> Result<Seen, Error> {
    let installed = prefix::installed(settings.prefix.as_deref())?.map(|(prefix, _)| prefix);
    let below = |path: &str| installed.as_ref().map(|prefix| prefix.join(path));
    let node = Node::find(settings);
    let (engine, handler, is_systemd, named) = of_node(&node).await;
    let told = told(installed.as_deref());
    let said = |key: &str| told.get(key).and_then(Value::as_str).map(PathBuf::from);
    let runtimes = said("real")
        .into_iter()
        .chain(named)
        .chain(["runc", "crun"].into_iter().flat_map(commands::all));
    let runtimes = ask_all(runtimes.chain(below(parts::RUNC))).await;
    let crius = said("criu")
        .into_iter()
        .chain(commands::all("criu"))
        .chain(below(parts::CRIU));
    let criu = usable(ask_all(crius).await);
    let criu_check = match &criu {
        Ok(criu) => Some(criu_check(&criu.path).await),
        Err(_) => None,
    };
    let or_none = |wrong: Vec<String>, what: &str| {
        if wrong.is_empty() {
            format!("{what} was not found on this node")
        } else {
            wrong.join("; ")
        }
    };
    let kernel = read("/proc/sys/kernel/osrelease");
    Ok(Seen {
        engine,
        handler,
        damage: damage(installed.as_deref())?,
        runtime: usable(runtimes)
            .map(|runtime| runtime.to_string())
            .map_err(|wrong| or_none(wrong, "runc 1.2 or later")),
        criu: criu
            .map(|criu| criu.to_string())
            .map_err(|wrong| or_none(wrong, "CRIU 4.2 or later")),
        criu_check,
        criu_options: criu_options(),
        is_cgroup_v2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        is_systemd,
        architecture: std::env::consts::ARCH.to_owned(),
        kernel_config: kernel_config(&kernel),
        kernel,
        cpu_flags: cpu_flags(&read("/proc/cpuinfo")),
        shown: shown(),
        pipe_max: read("/proc/sys/fs/pipe-max-size").parse().ok(),
        ptrace_scope: read("/proc/sys/kernel/yama/ptrace_scope").parse().ok(),
        request_timeout: request_timeout(),
        prefix: installed.map(|prefix| prefix.display().to_string()),
    })
}

/// What the running kernel shows to be so.
fn shown() -> Vec<&'static str> {
    let files = [
        (RESTORE, "/proc/sys/kernel/ns_last_pid"),
        (TIME, "/proc/self/ns/time"),
        (FAULT, "/proc/sys/vm/unprivileged_userfaultfd"),
        (SECCOMP, "/proc/sys/kernel/seccomp"),
    ];
    let there = files
        .into_iter()
        .filter(|(_, path)| Path::new(path).exists());
    there.map(|(name, _)| name).collect()
}

type OfNode = (
    Result<String, String>,
    Option<bool>,
    Option<bool>,
    Option<PathBuf>,
);

async fn of_node(node: &Result<Node, Error>) -> OfNode {
    let node = match node {
        Ok(node) => node,
        Err(error) => return (Err(chain(error)), None, None, None),
    };
    let version = node.service.cri.version().await;
    let status = node.service.cri.status().await.ok();
    let learnt = learn(node, Path::new(PROGRAM)).await.ok();
    (
        version
            .map(|version| format!("{} {}", version.name, version.version))
            .map_err(|error| chain(&error)),
        status.as_ref().and_then(knows_handler),
        learnt.as_ref().map(|learnt| learnt.is_systemd),
        learnt.and_then(|learnt| learnt.named),
    )
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// What our runtime is told.
fn told(prefix: Option<&Path>) -> Value {
    let bytes = prefix.and_then(|prefix| fs::read(prefix.join(super::acts::SETTINGS_FILE)).ok());
    bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

fn damage(prefix: Option<&Path>) -> Result<Vec<String>, Error> {
    let Some(prefix) = prefix else {
        return Ok(Vec::new());
    };
    let files = [
        prefix.join(PROGRAMS).join(PROGRAM),
        prefix.join(super::acts::SETTINGS_FILE),
    ];
    let mut missing = Vec::new();
    for file in files {
        if disk::read(&file)?.is_none() {
            missing.push(format!("{} is gone", file.display()));
        }
    }
    Ok(missing)
}

async fn criu_check(criu: &Path) -> Result<(), String> {
    let said = commands::run(criu, &["check"], CRIU_CHECK)
        .await
        .map_err(|error| chain(&error))?;
    if said.is_fine() {
        Ok(())
    } else {
        Err(said.last_words().to_owned())
    }
}

/// Of the files that are there.
fn criu_options() -> Vec<(&'static str, Vec<String>)> {
    let read = |file| Some((file, options::read(&fs::read_to_string(file).ok()?)));
    options::FILES.into_iter().filter_map(read).collect()
}

fn cpu_flags(cpuinfo: &str) -> Vec<String> {
    let line = cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        ["flags", "Features"]
            .contains(&name.trim())
            .then_some(value)
    });
    line.unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

fn kernel_config(release: &str) -> Option<BTreeMap<String, String>> {
    let plain = [
        format!("/boot/config-{release}"),
        format!("/lib/modules/{release}/config"),
    ];
    let text = plain
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .or_else(packed_config)?;
    Some(configured(&text))
}

fn packed_config() -> Option<String> {
    let file = fs::File::open("/proc/config.gz").ok()?;
    let mut text = String::new();
    GzDecoder::new(file)
        .take(CONFIG_MAX)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

fn configured(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.trim().split_once('='));
    lines
        .filter(|(name, _)| name.starts_with("CONFIG_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// How long the kubelet waits for its runtime, if its configuration can be found.
fn request_timeout() -> Option<String> {
    let text = KUBELET
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())?;
    timeout_of(&text)
}

fn timeout_of(text: &str) -> Option<String> {
    // JSON is YAML.
    let config: Value = serde_saphyr::from_str(text).ok()?;
    let said = config.get("runtimeRequestTimeout").and_then(Value::as_str);
    // Zero is how a configuration says "as usual".
    let said = said.filter(|said| !["", "0s", "0"].contains(said));
    config.is_object().then(|| said.unwrap_or("2m").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kubelets_limit() {
        assert_eq!(
            timeout_of("kind: KubeletConfiguration\nruntimeRequestTimeout: 10m\n").as_deref(),
            Some("10m")
        );
        assert_eq!(
            timeout_of("{\"kind\": \"KubeletConfiguration\", \"runtimeRequestTimeout\": \"0s\"}")
                .as_deref(),
            Some("2m")
        );
        assert_eq!(
            timeout_of("kind: KubeletConfiguration").as_deref(),
            Some("2m")
        );
        assert_eq!(timeout_of("- no"), None);
    }

    #[test]
    fn reads_flags_and_options() {
        assert_eq!(
            cpu_flags("processor\t: 0\nflags\t\t: fpu vme\nbugs\t: x\n"),
            ["fpu", "vme"]
        );
        assert_eq!(
            cpu_flags("processor: 0\nFeatures\t: fp asimd\n"),
            ["fp", "asimd"]
        );
        let found = configured("# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=m\nX=1\n");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [
                ("CONFIG_B".into(), "y".into()),
                ("CONFIG_C".into(), "m".into())
            ]
        );
    }

    #[tokio::test]
    async fn any_machine_can_be_looked_at() {
        let settings = Settings {
            root: "/".into(),
            prefix: Some("/nowhere/holdfast".into()),
            engine: None,
            config: None,
            socket: Some("/nowhere/x.sock".into()),
            restart_command: None,
            restart_limit: std::time::Duration::from_secs(1),
        };
        let facts = check(&settings).await.unwrap();
        assert!(
            facts
                .iter()
                .any(|fact| fact.name == "kernel" && !fact.value.is_empty()),
            "{facts:?}"
        );
    }
}
