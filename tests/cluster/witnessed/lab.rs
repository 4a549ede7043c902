//! Two nodes whose agents and runtime can be told where to end, and programs that write down, where all nodes see it, that they run.

use super::objects::{Owner, armed_agents, object};
use crate::protecting::protected;
use crate::world::{World, root, succeed, text, within};
use serde_json::{Value, json};
use std::future::ready;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) const NODES: [&str; 2] = ["node1", "node2"];
/// What a node keeps of a pod that is held, of what is dumped and restored, and of containers: a line for each.
const LEFT: &str = r#"
find /var/lib/holdfast/checkpoints -type f 2>/dev/null
grep -l '"hold":{' /var/lib/holdfast/records/*.json 2>/dev/null
find /sys/fs/cgroup/*/holdfast /sys/fs/cgroup/holdfast -mindepth 1 -type d 2>/dev/null
cat /sys/fs/cgroup/*/holdfast/cgroup.procs /sys/fs/cgroup/holdfast/cgroup.procs 2>/dev/null | sort -u | sed 's/^/process /'
for process in /proc/[0-9]*; do
    case $(tr '\0' ' ' 2>/dev/null <$process/cmdline) in
    sh\ -c*) ;;
    *holdfast-runtime*|*criu*|*runc\ *checkpoint*|*runc\ *restore*) echo "runs $process $(tr '\0' ' ' 2>/dev/null <$process/cmdline)" ;;
    esac
done
"#;

/// What is left after something went wrong, and was said: what comes next is not to be blamed for it.
const CLEAN: &str = "rm -rf /opt/*/faults /opt/*/faults.sprung /var/lib/holdfast/checkpoints/* /run/holdfast/attempts/*
find /sys/fs/cgroup/*/holdfast -mindepth 1 -type d -exec rmdir {} +";

/// A program that can be told where to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Program {
    Agent,
    Runtime,
}

impl Program {
    /// The folder above that of the program.
    fn place(self) -> &'static str {
        match self {
            Self::Agent => "/opt/armed",
            Self::Runtime => "/opt/holdfast",
        }
    }
}

/// The other of two nodes.
pub(super) fn other(node: &str) -> &'static str {
    if node == NODES[0] { NODES[1] } else { NODES[0] }
}

pub(super) fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap()
}

pub(super) fn node(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
}

pub(super) struct Lab {
    pub(super) world: World,
    /// The directory of this machine that is `/witness` on every node.
    witness: PathBuf,
    /// Where the programs count now: another slot after each time that one was lost.
    slots: [(Owner, String); 2],
    /// So many bytes of its state are nothing but weight.
    blob: u32,
}

impl Lab {
    pub(super) fn new(called: &str, blob: u32) -> Self {
        let world = protected(called);
        let status: Value =
            serde_json::from_str(&world.command(&["status", "-o", "json"])).unwrap();
        for node in NODES {
            arm_programs(&world, node);
        }
        // What weighs something comes slowly, so that a test can do something meanwhile.
        let rate = if blob > 0 { 4 << 20 } else { 0 };
        let args = world.kubectl("get daemonset holdfast-agent -n holdfast-system -o jsonpath={.spec.template.spec.containers[0].args}");
        let args = args.replace("--peer-rate=0", &format!("--peer-rate={rate}"));
        let args = serde_json::from_str(&args).unwrap();
        let patch = armed_agents(&args).to_string();
        world.kubectl(&format!(
            "patch daemonset holdfast-agent -n holdfast-system --type=strategic -p {patch}"
        ));
        world.kubectl("rollout status daemonset/holdfast-agent -n holdfast-system --timeout=180s");
        Self {
            witness: PathBuf::from(status["witness"].as_str().unwrap()),
            world,
            blob,
            slots: [Owner::Deployment, Owner::Nobody].map(|owner| (owner, owner.slot().to_owned())),
        }
    }

    fn slot(&self, owner: Owner) -> &str {
        let found = self.slots.iter().find(|(whose, _)| *whose == owner);
        &found.unwrap().1
    }

    pub(super) fn starts(&self, owner: Owner) {
        let object = object(owner, (self.slot(owner), self.blob)).to_string();
        assert!(self.world.apply(&object).status.success());
    }

    /// What was lost is begun anew, in a slot of its own: what comes next is not judged by it.
    pub(super) async fn anew(&mut self, owner: Owner, after: usize) {
        let world = &self.world;
        for node in NODES {
            self.goes_on(node);
            self.sh(node, CLEAN);
        }
        world.kubectl("delete migrations --all --wait=false");
        let app = owner.slot();
        world.kubectl("delete deployment/deployed --wait=false --ignore-not-found");
        world.kubectl(&format!("delete pods -l app={app} --wait=false"));
        let label = format!("get pods -l app={app} -o name");
        within(120, || {
            ready(world.kubectl(&label).trim().is_empty().then_some(()))
        })
        .await;
        for (whose, slot) in &mut self.slots {
            *slot = format!("{}-{after}", whose.slot());
        }
        self.starts(owner);
    }

    pub(super) fn sh(&self, node: &str, script: &str) -> String {
        let output = self.world.on_node(node, script);
        text(&output.stdout) + &text(&output.stderr)
    }

    pub(super) fn get(&self, line: &str) -> Value {
        serde_json::from_str(&self.world.kubectl(&format!("{line} -o json"))).unwrap()
    }

    fn pods(&self, owner: Owner) -> Vec<Value> {
        let listed = self.get(&format!("get pods -l app={}", owner.slot()));
        let all = listed["items"].as_array().unwrap().iter();
        all.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .cloned()
            .collect()
    }

    /// The one pod there is, once it is ready and nobody's journey.
    pub(super) async fn the_pod(&self, owner: Owner) -> Result<Value, String> {
        let look = || {
            let pods = self.pods(owner);
            let is_free =
                |pod: &Value| pod["metadata"]["labels"]["holdfast.dev/migration"].is_null();
            (pods.len() == 1 && is_ready(&pods[0]) && is_free(&pods[0])).then(|| pods[0].clone())
        };
        let found = within(90, || ready(look())).await;
        let pods = || Value::from(self.pods(owner));
        found.ok_or_else(|| format!("there is not one pod that is ready: {:#}", pods()))
    }

    /// From now on a program dies, or stops, when it is at a point.
    pub(super) fn arms(&self, node: &str, program: Program, trap: &str) {
        let place = program.place();
        self.sh(node, &format!("rm -f {place}/faults.sprung; echo {trap} >{place}/.new; mv {place}/.new {place}/faults"));
    }

    pub(super) async fn is_sprung(
        &self,
        node: &str,
        program: Program,
        trap: &str,
    ) -> Result<(), String> {
        let place = program.place();
        let look = || self.sh(node, &format!("ls {place}/faults.sprung 2>/dev/null"));
        let sprung = within(60, || ready((!look().is_empty()).then_some(()))).await;
        self.sh(node, &format!("rm -f {place}/faults {place}/faults.sprung"));
        sprung.ok_or_else(|| format!("{trap} was never reached by {program:?} on {node}"))
    }

    fn signals(&self, node: &str, signal: &str) {
        self.sh(node, &format!("for process in /proc/[0-9]*; do case $(tr '\\0' ' ' 2>/dev/null <$process/cmdline) in '/opt/armed/bin/holdfast agent '*) kill -{signal} ${{process#/proc/}} ;; esac; done"));
    }

    pub(super) fn stops(&self, node: &str) {
        self.signals(node, "STOP");
    }

    pub(super) fn goes_on(&self, node: &str) {
        self.signals(node, "CONT");
    }

    /// Its kubelet starts it again.
    pub(super) fn kills(&self, node: &str) {
        self.signals(node, "KILL");
    }

    /// A kubelet starts what dies often later and later: a new pod it starts at once.
    pub(super) fn renews_agent(&self, node: &str) {
        self.world.kubectl(&format!(
            "delete pods -n holdfast-system -l app.kubernetes.io/component=agent --field-selector=spec.nodeName={node} --wait=false"
        ));
    }

    pub(super) fn migrates(&self, called: &str, pod: &Value) {
        let object = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "metadata": { "name": called }, "spec": { "podName": name(pod) },
        });
        let applied = self.world.apply(&object.to_string());
        assert!(applied.status.success(), "{applied:?}");
    }

    pub(super) fn migration(&self, called: &str) -> Option<Value> {
        let found = self.world.kubectl(&format!(
            "get migration {called} --ignore-not-found -o json"
        ));
        serde_json::from_str(&found).ok()
    }

    /// The status of a Migration that came to an end.
    pub(super) async fn ended(&self, called: &str) -> Result<Value, String> {
        let status = || {
            self.migration(called)
                .map(|migration| migration["status"].clone())
        };
        let closed = || status().filter(|status| status["stage"] == "Closed");
        let ended = within(200, || ready(closed())).await;
        ended.ok_or_else(|| {
            let orders = self.world.kubectl("get statetasks -o yaml");
            format!(
                "{called} does not end: {:#}\n{orders}",
                status().unwrap_or_default()
            )
        })
    }

    /// Its object is deleted, once that may be.
    pub(super) fn is_forgotten(&self, called: &str) {
        self.world.kubectl(&format!(
            "delete migration {called} --ignore-not-found --timeout=60s"
        ));
    }

    fn records(&self, owner: Owner) -> PathBuf {
        self.witness.join(self.slot(owner))
    }

    /// How much was written until now.
    pub(super) fn count(&self, owner: Owner) -> usize {
        let read = std::fs::read(self.records(owner)).unwrap_or_default();
        String::from_utf8_lossy(&read).lines().count()
    }

    /// It writes on, and what was written is right: one program, that was never two and never went back.
    pub(super) async fn is_witnessed(&self, owner: Owner, programs: u32) -> Result<(), String> {
        let before = self.count(owner);
        let writes = || (self.count(owner) > before + 3).then_some(());
        within(60, || ready(writes()))
            .await
            .ok_or("none: nobody writes any more")?;
        let mut judge = Command::new("python3");
        judge
            .arg(root().join("tests/world/witness.py"))
            .arg(self.records(owner));
        judge.args([
            "--incarnations",
            &programs.to_string(),
            "--none-after",
            "30",
        ]);
        let judged = judge.output().unwrap();
        if judged.status.success() {
            return Ok(());
        }
        Err(text(&judged.stdout) + &text(&judged.stderr))
    }

    /// Nothing of a move is left: no order, no hold, no state, no process, no container of a pod that is gone.
    pub(super) async fn nothing_is_left(&self) -> Result<(), String> {
        let left = || {
            let mut left = self.world.kubectl("get statetasks,migrations -A -o name");
            for node in NODES {
                let here = self.sh(node, LEFT);
                for line in here.lines() {
                    left.extend([node, ": ", line, "\n"]);
                }
            }
            left
        };
        // An agent sweeps once a minute.
        let clean = within(90, || ready(left().trim().is_empty().then_some(()))).await;
        let some = || left().lines().take(12).collect::<Vec<_>>().join("\n");
        clean.ok_or_else(|| format!("this is left:\n{}", some()))
    }

    /// What is known to stay is not what comes next is to be blamed for.
    pub(super) fn is_left_as_it_is(&self) {
        for node in NODES {
            self.sh(node, CLEAN);
        }
    }

    /// What agents of both nodes said, for a failure's report.
    pub(super) fn told(&self) -> String {
        let agents =
            "logs -n holdfast-system -l app.kubernetes.io/component=agent --prefix --tail=15";
        succeed(&mut self.world.kubectl_command(agents))
    }
}

/// The tests' own programs, which have fault points, and in the runtime's place a script that gives containers the witness.
fn arm_programs(world: &World, node: &str) {
    let agent = Path::new(env!("CARGO_BIN_EXE_holdfast"));
    let runtime = Path::new(env!("CARGO_BIN_EXE_holdfast-runtime"));
    let script = root().join("tests/cluster/witnessed/with_witness.sh");
    world.put_on_node(node, "/opt/armed/bin/holdfast", agent);
    world.put_on_node(node, "/opt/armed/bin/holdfast-runtime", runtime);
    world.put_on_node(node, "/opt/holdfast/bin/holdfast-runtime.armed", runtime);
    world.put_on_node(node, "/opt/holdfast/bin/.new", &script);
    let takes_places = "ln -sf /opt/holdfast/bin/holdfast-runtime.armed /opt/armed/bin/criu && cd /opt/holdfast/bin && mv .new holdfast-runtime";
    let placed = world.on_node(node, takes_places);
    assert!(placed.status.success(), "{placed:?}");
}
