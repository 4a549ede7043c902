//! What every test here needs: the world, the installed manager, and waiting for a condition.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio::time::Instant;

pub(crate) const NAMESPACE: &str = "holdfast-system";
pub(crate) const IMAGE: &str = "localhost/holdfast:test";

/// One world for all tests of this program, used by one at a time.
static WORLD: OnceCell<Mutex<World>> = OnceCell::const_new();

pub(crate) struct World {
    name: String,
    pub(crate) kubeconfig: PathBuf,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `make` at the root of the checkout, without what cargo told this test: build scripts look at it, and would build all anew.
pub(crate) fn make_command(words: &[&str]) -> Command {
    let mut command = Command::new("make");
    command.current_dir(root()).args(words);
    let kept = ["CARGO_TARGET_DIR", "CARGO_HOME", "CARGO_TERM_COLOR"];
    for (name, _) in std::env::vars()
        .filter(|(name, _)| name.starts_with("CARGO") && !kept.contains(&name.as_str()))
    {
        command.env_remove(name);
    }
    command
}

/// Runs a command that must succeed, and hands out what it printed.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The world, alone. It is brought up if it is not there, and the image is loaded.
pub(crate) async fn world() -> MutexGuard<'static, World> {
    let world = WORLD.get_or_init(|| async {
        holdfast::install_crypto();
        let name = std::env::var("HOLDFAST_WORLD").unwrap_or_else(|_| "test".into());
        let world = World {
            kubeconfig: PathBuf::new(),
            name,
        };
        let version = std::env::var("HOLDFAST_WORLD_K8S").unwrap_or_else(|_| "1.35".into());
        world.command(&["up", "--nodes", "2", "--k8s", &version]);
        world.command(&["load", root().join("dist/holdfast.tar").to_str().unwrap()]);
        let kubeconfig = PathBuf::from(world.command(&["kubeconfig"]).trim());
        Mutex::new(World {
            kubeconfig,
            ..world
        })
    });
    world.await.lock().await
}

impl World {
    /// Another world, beside the shared one. Whoever brings it up takes it down, by [`World::end`].
    pub(crate) fn apart(name: &str, words: &[&str]) -> Self {
        holdfast::install_crypto();
        let shared = std::env::var("HOLDFAST_WORLD").unwrap_or_else(|_| "test".into());
        let world = Self {
            kubeconfig: PathBuf::new(),
            name: format!("{shared}-{name}"),
        };
        // What a test before this one has left would not be as it is expected.
        world.command(&["down"]);
        world.command(&[&["up"], words].concat());
        let kubeconfig = PathBuf::from(world.command(&["kubeconfig"]).trim());
        Self {
            kubeconfig,
            ..world
        }
    }

    /// Takes a world of its own down.
    pub(crate) fn end(self) {
        self.command(&["down"]);
    }

    /// Puts a file on a node, as a program.
    pub(crate) fn put_on_node(&self, node: &str, path: &str, from: &Path) {
        let number = node.trim_start_matches("node");
        let script = format!("mkdir -p $(dirname {path}) && cat > {path} && chmod 755 {path}");
        let mut command = Command::new(root().join("tests/world/world"));
        command
            .args(["--name", &self.name, "exec", number, "sh", "-c", &script])
            .stdin(std::fs::File::open(from).unwrap());
        succeed(&mut command);
    }

    /// A file by which a program is who this token says.
    pub(crate) fn kubeconfig_of(&self, called: &str, token: &str) -> PathBuf {
        let admin = std::fs::read_to_string(&self.kubeconfig).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&admin).unwrap();
        config["users"][0]["user"] = serde_json::json!({ "token": token.trim() });
        let file = self
            .kubeconfig
            .with_file_name(format!("{called}.kubeconfig"));
        std::fs::write(&file, config.to_string()).unwrap();
        file
    }

    /// A verb of the world's command, which must succeed.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        succeed(
            Command::new(root().join("tests/world/world"))
                .arg("--name")
                .arg(&self.name)
                .args(words),
        )
    }

    /// A command on a node, whatever comes of it.
    pub(crate) fn on_node(&self, node: &str, script: &str) -> Output {
        let number = node.trim_start_matches("node");
        let mut command = Command::new(root().join("tests/world/world"));
        command
            .args(["--name", &self.name, "exec", number, "sh", "-c", script])
            .output()
            .unwrap()
    }

    /// A command of this machine, in the network of the control plane, whatever comes of it.
    pub(crate) fn beside_the_api_server(&self, words: &[&str]) -> Output {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &format!("hf-{}", self.name)])
            .args(words)
            .stdin(std::process::Stdio::null());
        command.output().unwrap()
    }

    /// Every request that the API server was asked, in order.
    pub(crate) fn audited(&self) -> Vec<serde_json::Value> {
        let status = self.command(&["status", "-o", "json"]);
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let log = std::fs::read_to_string(status["auditLog"].as_str().unwrap()).unwrap();
        log.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// A client of this runtime.
    pub(crate) async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        Client::try_from(config).unwrap()
    }

    pub(crate) fn make(&self, words: &[&str]) -> String {
        succeed(make_command(words).env("KUBECONFIG", &self.kubeconfig))
    }

    /// The program itself, against this world.
    pub(crate) fn holdfast(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.args(words).env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// A line for kubectl, which must succeed; its words have no spaces in them.
    pub(crate) fn kubectl(&self, line: &str) -> String {
        succeed(&mut self.kubectl_command(line))
    }

    pub(crate) fn kubectl_command(&self, line: &str) -> Command {
        let tool = self.command(&["tool", "kubectl"]);
        let mut command = Command::new(tool.trim());
        command
            .current_dir(root())
            .args(line.split_whitespace())
            .env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Applies some YAML; the answer says whether it was accepted.
    pub(crate) fn apply(&self, yaml: &str) -> Output {
        self.send("apply -f -", yaml)
    }

    /// Creates what some YAML says; the answer says whether it was accepted.
    pub(crate) fn create(&self, yaml: &str) -> Output {
        self.send("create -f -", yaml)
    }

    /// A line for kubectl that reads some YAML; the answer says whether it was accepted.
    pub(crate) fn send(&self, line: &str, yaml: &str) -> Output {
        use std::io::Write;
        let mut command = self.kubectl_command(line);
        let piped = std::process::Stdio::piped;
        let mut child = command
            .stdin(piped())
            .stdout(piped())
            .stderr(piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(yaml.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    }

    /// Installs the chart with this program's image, and waits until both replicas are ready and one leads.
    pub(crate) async fn install(&self) -> Client {
        // The image's name stays the same; what was packed last is what is to be tested.
        let packed = std::fs::metadata(root().join("dist/holdfast.tar"))
            .and_then(|file| file.modified())
            .unwrap();
        let packed = packed
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis();
        let values = format!("ARGS=--set-string podAnnotations.packed={packed}");
        self.make(&["deploy", &format!("IMG={IMAGE}"), &values]);
        self.kubectl("rollout status deployment/holdfast -n holdfast-system --timeout=120s");
        let client = self.client().await;
        eventually("both replicas are ready", 90, || async {
            (ready_managers(&client).await.len() == 2).then_some(())
        })
        .await;
        eventually("one of them leads", 40, || async {
            let leader = leader(&client).await;
            ready_managers(&client)
                .await
                .into_iter()
                .find(|pod| pod.name_any() == leader)
        })
        .await;
        client
    }
}

pub(crate) fn pods(client: &Client) -> Api<Pod> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// Managers that are ready and not going away.
pub(crate) async fn ready_managers(client: &Client) -> Vec<Pod> {
    let list = ListParams::default().labels("app.kubernetes.io/component=manager");
    let found = pods(client)
        .list(&list)
        .await
        .map(|list| list.items)
        .unwrap_or_default();
    let is_ready = |pod: &Pod| {
        let conditions = pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
    };
    found
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none() && is_ready(pod))
        .collect()
}

/// Who holds the Lease; empty when nobody does.
pub(crate) async fn leader(client: &Client) -> String {
    use k8s_openapi::api::coordination::v1::Lease;
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let lease = leases.get_opt("holdfast").await.ok().flatten();
    lease
        .and_then(|lease| lease.spec?.holder_identity)
        .unwrap_or_default()
}

/// Asks until the answer is there; fails with what was waited for. The wait between questions is no guess about timing: it only
/// bounds how often is asked.
pub(crate) async fn eventually<T, Asked: Future<Output = Option<T>>>(
    what: &str,
    seconds: u64,
    ask: impl FnMut() -> Asked,
) -> T {
    let answer = within(seconds, ask).await;
    answer.unwrap_or_else(|| panic!("{what}: not within {seconds} s"))
}

/// Asks until the answer is there, or none after so long.
pub(crate) async fn within<T, Asked: Future<Output = Option<T>>>(
    seconds: u64,
    mut ask: impl FnMut() -> Asked,
) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let answer = ask().await;
        if answer.is_some() || Instant::now() >= deadline {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Asks until nothing is left; fails with what is.
pub(crate) async fn nothing_left(
    what: &str,
    seconds: u64,
    mut ask: impl FnMut() -> Option<String>,
) {
    let mut left = None;
    let gone = within(seconds, || {
        left = ask();
        std::future::ready(left.is_none().then_some(()))
    });
    let is_gone = gone.await.is_some();
    let left = left.unwrap_or_default();
    assert!(is_gone, "{what}: left after {seconds} s: {left}");
}
