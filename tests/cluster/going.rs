//! An installation goes away cleanly, in whatever order it is deleted, and takes nobody's objects hostage.

use crate::world::{IMAGE, World, eventually, leader, ready_managers, root, succeed, text, world};
use kube::Client;
use std::process::Command;

const HELD: &str = "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {name: held, finalizers: [holdfast.dev/work, nodeop-reboot.kairos.io/clusterrolebinding]}\nspec: {cpuPercentage: 10}\n";

/// What is left of us in the cluster, by name.
fn left(world: &World, kinds: &str) -> String {
    let names = world.kubectl(&format!("get {kinds} -A -o name --ignore-not-found"));
    let is_ours = |name: &&str| {
        (name.contains("/holdfast") && !name.contains("/holdfast-world"))
            || name.ends_with(".flexdaemonsets.xai")
    };
    names.lines().filter(is_ours).collect::<Vec<_>>().join("\n")
}

const EVERYTHING: &str = "deployment,replicaset,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding,service,poddisruptionbudget,namespace";

async fn led(world: &World) -> Client {
    let client = world.client().await;
    eventually("one of two replicas leads", 60, || async {
        let leader = leader(&client).await;
        (ready_managers(&client).await.len() == 2 && !leader.is_empty()).then_some(())
    })
    .await;
    eventually("it holds its installation", 20, || async {
        let held = world.kubectl(
            "get deployment holdfast -n holdfast-system -o jsonpath={.metadata.finalizers}",
        );
        held.contains("holdfast.dev/teardown").then_some(())
    })
    .await;
    client
}

pub(crate) fn remove(world: &World) {
    // A test that failed may have left it without a manager, and nobody would release what it holds.
    if !world
        .kubectl("get deployment holdfast -n holdfast-system --ignore-not-found -o name")
        .is_empty()
    {
        world.kubectl("scale deployment holdfast -n holdfast-system --replicas=2");
    }
    world.make(&["undeploy"]);
    world.kubectl("delete namespace holdfast-system --ignore-not-found --timeout=90s");
    world.kubectl(
        "delete crd -l app.kubernetes.io/part-of=holdfast --ignore-not-found --timeout=30s",
    );
}

/// The manifests, with a leader at work and an object that has a finalizer of ours.
async fn install_and_hold(world: &World) {
    remove(world);
    world.make(&["deploy-manifests", &format!("IMG={IMAGE}")]);
    led(world).await;
    assert!(world.apply(HELD).status.success());
}

/// What a deletion of a part leaves, by the manifests; then nothing of ours is left.
fn remove_the_rest(world: &World) {
    let manifests = root().join("manifests/default");
    world.kubectl(&format!(
        "delete -k {} --ignore-not-found --timeout=60s",
        manifests.display()
    ));
    assert_eq!(left(world, &format!("{EVERYTHING},crd")), "");
}

#[tokio::test]
async fn undeploy_leaves_the_objects_and_takes_our_finalizers() {
    let world = world().await;
    world.install().await;
    led(&world).await;
    assert!(world.apply(HELD).status.success());
    let said = world.make(&["undeploy"]);
    assert!(
        said.contains("kubectl delete crd"),
        "it says how to delete the rest:\n{said}"
    );
    eventually("nothing but CRDs and namespace is left", 60, || async {
        (left(&world, EVERYTHING) == "namespace/holdfast-system").then_some(())
    })
    .await;
    let held =
        world.kubectl("get fdt held -o jsonpath={.spec.cpuPercentage}{.metadata.finalizers}");
    assert_eq!(held.trim(), "10", "the object is there, and free");
    world.kubectl("delete fdt held --timeout=10s");
}

#[tokio::test]
async fn delete_k_ends_although_an_object_has_a_finalizer_of_ours() {
    let world = world().await;
    install_and_hold(&world).await;
    world.kubectl(&format!(
        "delete -k {} --timeout=90s",
        root().join("manifests/default").display()
    ));
    assert_eq!(left(&world, &format!("{EVERYTHING},crd")), "");
}

#[tokio::test]
async fn a_namespace_deleted_alone_ends_and_takes_our_finalizers() {
    let world = world().await;
    install_and_hold(&world).await;
    // Kubernetes takes the pods of a namespace first, and nothing can be made in it any more.
    world.kubectl("delete namespace holdfast-system --timeout=100s");
    let finalizers = world.kubectl("get fdt held -o jsonpath={.metadata.finalizers}");
    assert_eq!(finalizers, "", "the object is free");
    remove_the_rest(&world);
}

#[tokio::test]
async fn a_slow_removal_piece_by_piece_ends_too() {
    let world = world().await;
    install_and_hold(&world).await;
    // As over a slow line: the Deployment first, the rest when its leader has cleaned up.
    world.kubectl("delete deployment holdfast -n holdfast-system --timeout=60s");
    eventually("its pods are gone", 90, || async {
        world
            .kubectl("get pods -n holdfast-system -o name")
            .trim()
            .is_empty()
            .then_some(())
    })
    .await;
    remove_the_rest(&world);
}

#[tokio::test]
async fn a_repository_s_url_installs_and_deletes() {
    let world = world().await;
    remove(&world);
    let folder = std::env::temp_dir().join(format!("holdfast-url-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let repository = folder.join("holdfast.git");
    let git = |words: &[&str]| succeed(Command::new("git").args(words).current_dir(&folder));
    git(&["init", "-q", "checkout"]);
    succeed(
        Command::new("cp")
            .arg("-r")
            .arg(root().join("manifests"))
            .arg(root().join("charts"))
            .arg(folder.join("checkout")),
    );
    git(&["-C", "checkout", "add", "-A"]);
    git(&[
        "-C",
        "checkout",
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@localhost",
        "commit",
        "-qm",
        "manifests",
    ]);
    git(&[
        "clone",
        "-q",
        "--bare",
        "checkout",
        repository.to_str().unwrap(),
    ]);
    let url = format!("file://{}//manifests/default", repository.display());
    let applied = world.kubectl(&format!("apply -k {url}"));
    assert!(
        applied.contains("deployment.apps/holdfast created"),
        "{applied}"
    );
    // The image of the default overlay may not be there; what is asked here is that the objects come and go.
    world.kubectl(&format!("delete -k {url} --timeout=90s"));
    assert_eq!(left(&world, &format!("{EVERYTHING},crd")), "");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_deletion_that_hangs_because_nobody_runs_any_more_is_freed_by_hand() {
    let world = world().await;
    remove(&world);
    world.make(&["deploy-manifests", &format!("IMG={IMAGE}")]);
    let client = led(&world).await;
    assert!(world.apply(HELD).status.success());
    let teardown = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .arg("teardown")
            .args(words)
            .env("KUBECONFIG", &world.kubeconfig)
            .output()
            .unwrap()
    };
    let refused = teardown(&["--yes"]);
    assert!(
        text(&refused.stderr).contains("scale it to zero first"),
        "a manager leads: {}",
        text(&refused.stderr)
    );
    world.kubectl("scale deployment holdfast -n holdfast-system --replicas=0");
    eventually("no manager runs", 60, || async {
        world
            .kubectl("get pods -n holdfast-system --no-headers --ignore-not-found")
            .trim()
            .is_empty()
            .then_some(())
    })
    .await;
    world.kubectl(&format!(
        "delete -k {} --wait=false",
        root().join("manifests/default").display()
    ));
    assert_ne!(left(&world, "deployment"), "", "it hangs");
    let told = text(&teardown(&[]).stdout);
    assert!(
        told.contains("flexdaemonsettemplates.flexdaemonsets.xai held")
            && told.contains("deployment holdfast"),
        "{told}"
    );
    assert_ne!(left(&world, "deployment"), "", "nothing was written");
    assert!(teardown(&["--yes"]).status.success());
    eventually("everything is gone", 60, || async {
        left(&world, &format!("{EVERYTHING},crd"))
            .is_empty()
            .then_some(())
    })
    .await;
    drop(client);
}
