//! The manager ends at each of its fault points in turn; whoever comes next finishes, and nothing is done twice or left half.

mod shares;

use crate::resizing::begin;
use crate::world::{World, eventually, succeed, world};
use shares::Shares;
use std::future::ready;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

/// A manager on this machine, against the world's API server, with a lease of seconds.
fn manager(world: &World, identity: &str) -> Command {
    manager_of(world, identity, ("default", "faults"))
}

/// The same, of an installation: it takes the lead from one whose lease lasts longer.
pub(crate) fn manager_of(
    world: &World,
    identity: &str,
    (namespace, installation): (&str, &str),
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args([
        "serve",
        "--namespace",
        namespace,
        "--lease-name",
        installation,
        "--identity",
        identity,
        "--installation",
        installation,
    ]);
    command.args([
        "--lease-duration",
        "2s",
        "--renew-deadline",
        "1500ms",
        "--retry-period",
        "300ms",
        "--shutdown-delay",
        "0s",
        "--log-format",
        "text",
    ]);
    command.args([
        "--metrics-bind-address",
        "0",
        "--health-probe-bind-address",
        "0",
        "--webhook-bind-address",
        "127.0.0.1:0",
    ]);
    command
        .env("KUBECONFIG", &world.kubeconfig)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Ends the process when the test does.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn terminate(&mut self) {
        succeed(
            Command::new("kill")
                .arg("-TERM")
                .arg(self.0.id().to_string()),
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended before.
        let _ended = self.0.kill();
        self.0.wait().unwrap();
    }
}

const FREE_LEASE: &str = r#"
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: faults, namespace: default}
spec: {holderIdentity: ""}
"#;

const INSTALLATION: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: faults, namespace: default}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: faults, namespace: default}
spec:
  replicas: 0
  selector: {matchLabels: {a: faults}}
  template:
    metadata: {labels: {a: faults}}
    spec: {containers: [{name: c, image: none}]}
";

const TEMPLATE: &str = "
apiVersion: flexdaemonsets.xai/v1alpha1
kind: FlexDaemonsetTemplate
metadata: {name: faults, finalizers: [holdfast.dev/work]}
spec: {minCPU: 99999999999999999999999E}
";

/// Asked about nothing that there is.
const WEBHOOKS: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: faults}
webhooks:
  - name: faults.holdfast.dev
    clientConfig: {service: {name: faults, namespace: default}}
    rules: [{apiGroups: [faults.holdfast.dev], apiVersions: [v1], resources: [nothing], operations: [CREATE]}]
    failurePolicy: Ignore
    sideEffects: None
    admissionReviewVersions: [v1]
";

/// Asked by somebody who is no agent: it is denied.
const REQUEST: &str = "
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: faults}
spec:
  signerName: holdfast.dev/agent
  usages: [digital signature, server auth, client auth]
  request: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIdk1JR1dBZ0VBTUFBd1dUQVRCZ2NxaGtqT1BRSUJCZ2dxaGtqT1BRTUJCd05DQUFTaGZSZG12bkZTQlBUdQpBQWZ3eFFqZGJuZjd3b2FSWmRpYnBxd2doOXIveVpidjdCdlczeVJveDFoM3MyZC9MT0FNWnorelRzbWtHV0VpCjBtZ2UwZVJHb0RRd01nWUpLb1pJaHZjTkFRa09NU1V3SXpBaEJnTlZIUkVFR2pBWWdoWnVNUzVoWjJWdWRITXUKYUc5c1pHWmhjM1F1WkdWMk1Bb0dDQ3FHU000OUJBTUNBMGdBTUVVQ0lRRHp3OHZJcEJRdHhRWTBwb0IvTSs1Rgp5Nyt2ak9Wb3RKM2FISjBaOVVNMXhBSWdkbnArTVd1ZFl3eFJtUGlTc1kyK2tZcGFZbTZYRzR5Y1BuSW02QzNoCkhQRT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==
";

/// Authorities that cannot be used: whoever finds them puts others there.
const SPOILT: &str = "
apiVersion: v1
kind: Secret
metadata: {name: faults-webhook-ca, namespace: default}
";

fn clean(world: &World) {
    for object in ["serviceaccount/faults", "deployment/faults", "fdt/faults"] {
        // It may not be there.
        let _absent = world
            .kubectl_command(&format!(
                r#"patch {object} --type=merge -p {{"metadata":{{"finalizers":null}}}}"#
            ))
            .output();
    }
    world.kubectl(
        "delete lease/faults serviceaccount/faults deployment/faults fdt/faults secret/faults-webhook-ca csr/faults validatingwebhookconfiguration/faults --ignore-not-found",
    );
}

/// What a manager needs to do all of its writes: a lease to take, objects to hold, a template to judge.
fn provoke(world: &World, point: &str) {
    if point.starts_with("signer.") {
        assert!(world.apply(REQUEST).status.success());
    }
    if point.contains("signer.reconcile.answer") {
        // By a person who should not: it is marked as failed.
        world.kubectl("certificate approve faults");
    }
    if point.contains("leader.take") {
        assert!(world.apply(FREE_LEASE).status.success());
    }
    if point.contains("store.change") {
        assert!(world.apply(SPOILT).status.success());
    }
    assert!(world.apply(WEBHOOKS).status.success());
    assert!(world.apply(INSTALLATION).status.success());
    assert!(world.apply(TEMPLATE).status.success());
}

fn is_judged(world: &World) -> bool {
    world.kubectl("get fdt faults -o jsonpath={.status.conditions[0].reason}") == "Unusable"
}

fn is_refused(world: &World) -> bool {
    let kinds = world.kubectl("get csr faults -o jsonpath={.status.conditions[*].type}");
    kinds.contains("Denied") || kinds.contains("Failed")
}

fn is_held(world: &World) -> bool {
    let finalizers = world
        .kubectl("get deployment faults --ignore-not-found -o jsonpath={.metadata.finalizers}");
    finalizers.contains("holdfast.dev/teardown")
}

fn is_trusted(world: &World) -> bool {
    let bundle = "get validatingwebhookconfiguration faults -o jsonpath={.webhooks[0].clientConfig.caBundle}";
    world.kubectl(bundle).len() > 100
}

/// Nothing is left of the installation, and nothing of ours is held.
fn is_torn_down(world: &World) -> bool {
    let left =
        world.kubectl("get deployment/faults serviceaccount/faults --ignore-not-found -o name");
    left.trim().is_empty()
        && world
            .kubectl("get fdt faults -o jsonpath={.metadata.finalizers}")
            .is_empty()
}

/// A manager lives until it dies at its point: at work, at a deletion of its installation, or when it is told to stop.
async fn die_at(world: &World, point: &str) {
    let mut dying = Running(
        manager(world, "dies")
            .env("HOLDFAST_DIE_AT", point)
            .spawn()
            .unwrap(),
    );
    eventually(&format!("{point}: it has worked, or is dead"), 30, || {
        let is_dead = dying.0.try_wait().unwrap().is_some();
        // What is done for shares comes later than that.
        let is_of_a_slice = point.starts_with("sizing.") || point.starts_with("signer.");
        let may_be_past = !point.contains("renew") && !is_of_a_slice;
        let has_worked = may_be_past && is_held(world) && is_judged(world) && is_trusted(world);
        ready((is_dead || has_worked).then_some(()))
    })
    .await;
    if point.contains(".release_") {
        world.kubectl(
            "delete deployment/faults serviceaccount/faults --wait=false --ignore-not-found",
        );
    } else if dying.0.try_wait().unwrap().is_none() {
        dying.terminate();
    }
    eventually(&format!("{point}: it is dead"), 30, || {
        ready(dying.0.try_wait().unwrap())
    })
    .await;
    let mut said = String::new();
    dying
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(
        said.contains(&format!("fault point {point}: the process ends here")),
        "{point} was never reached:\n{said}"
    );
}

/// The next manager finishes what the dead one began.
async fn finish_after(world: &World, point: &str, shares: &Shares) {
    let mut next = Running(manager(world, "next").spawn().unwrap());
    if point.contains(".release_") {
        eventually(&format!("{point}: the next one tears down"), 40, || {
            ready(is_torn_down(world).then_some(()))
        })
        .await;
    } else {
        eventually(&format!("{point}: the template is judged"), 30, || {
            ready(is_judged(world).then_some(()))
        })
        .await;
        eventually(&format!("{point}: the next one leads"), 30, || {
            ready(
                (world.kubectl("get lease faults -o jsonpath={.spec.holderIdentity}") == "next")
                    .then_some(()),
            )
        })
        .await;
        eventually(&format!("{point}: API servers are told"), 30, || {
            ready(is_trusted(world).then_some(()))
        })
        .await;
        eventually(&format!("{point}: the installation is held"), 30, || {
            ready(is_held(world).then_some(()))
        })
        .await;
        if point.starts_with("sizing.") {
            shares.are_finished(world, point).await;
        }
        if point.starts_with("signer.") {
            eventually(&format!("{point}: the request is answered"), 30, || {
                ready(is_refused(world).then_some(()))
            })
            .await;
        }
    }
    next.terminate();
    assert!(
        next.0.wait().unwrap().success(),
        "{point}: the next one stops in order"
    );
}

/// The manager's points; those of nodes are visited elsewhere: in `host.rs` and `checkpointing/dying.rs`. Those of Checkpoints need an agent to
/// answer: a plan's tests die after each of their writes. Those of Migrations, and of the Leases of nodes, need two: see `migrating/dying.rs`.
fn fault_points() -> Vec<String> {
    let all = succeed(Command::new(env!("CARGO_BIN_EXE_holdfast")).arg("faults"));
    let of_nodes = ["agent.", "host.", "hold.", "oci.", "runtime."];
    let is_of_manager = |point: &&str| {
        let elsewhere = of_nodes
            .iter()
            .chain(&["checkpoint.", "migration.", "node."]);
        !elsewhere
            .into_iter()
            .any(|module| point.starts_with(module))
    };
    let of_manager = all.lines().filter(is_of_manager);
    of_manager.map(str::to_owned).collect()
}

#[tokio::test]
async fn whoever_comes_after_a_death_at_any_point_finishes() {
    let world = world().await;
    world.install().await;
    // The installed leader would judge the template first: here it is the one under test that shall.
    world.kubectl("scale deployment holdfast -n holdfast-system --replicas=0");
    eventually("the installed managers are gone", 90, || {
        ready(
            world
                .kubectl("get pods -n holdfast-system -o name")
                .trim()
                .is_empty()
                .then_some(()),
        )
    })
    .await;
    let points = fault_points();
    assert!(points.len() >= 16, "{points:?}");
    let mut shares = Shares::new(&world).await;
    for point in &points {
        clean(&world);
        Shares::clean(&world);
        provoke(&world, point);
        if point.starts_with("sizing.") {
            shares.provoke(&world).await;
        }
        die_at(&world, point).await;
        finish_after(&world, point, &shares).await;
    }
    clean(&world);
    begin(&world);
    world.kubectl("scale deployment holdfast -n holdfast-system --replicas=2");
    println!(
        "RESULT fault_points_done={} fault_points_total={}",
        points.len(),
        fault_points().len()
    );
}

#[tokio::test]
async fn a_pause_holds_the_process_until_the_test_lets_it_go() {
    let world = world().await;
    world.install().await;
    clean(&world);
    let socket = std::env::temp_dir().join(format!("holdfast-pause-{}", std::process::id()));
    let listener = UnixListener::bind(&socket).unwrap();
    let mut command = manager(&world, "paused");
    command
        .env("HOLDFAST_PAUSE_AT", "process.leader.create.before")
        .env("HOLDFAST_PAUSE_SOCKET", &socket);
    let mut paused = Running(command.spawn().unwrap());
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut point = String::new();
    reader.read_line(&mut point).unwrap();
    assert_eq!(point, "process.leader.create.before\n");
    let lease = || world.kubectl("get lease faults --ignore-not-found -o name");
    assert_eq!(lease(), "", "it holds before the write");
    (&stream).write_all(b"\n").unwrap();
    eventually("it goes on", 10, || {
        ready((!lease().is_empty()).then_some(()))
    })
    .await;
    paused.terminate();
    assert!(paused.0.wait().unwrap().success());
    std::fs::remove_file(socket).unwrap();
    clean(&world);
}
