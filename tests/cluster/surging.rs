//! A roll-out that starts a node's new pod before its old one goes.

use crate::shares::{allocatable, applied, removed, request, running, template};
use crate::world::{World, eventually, world};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// The old pod goes when the new one has been ready for a while: so both are there, and can be seen.
fn surging(version: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: surge, annotations: {{flexdaemonsets.xai/resource-template: surge}}}}
spec:
  selector: {{matchLabels: {{app: surge}}}}
  minReadySeconds: 5
  updateStrategy: {{type: RollingUpdate, rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}}}}
  template:
    metadata: {{labels: {{app: surge, version: {version}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{{name: c, image: "registry.k8s.io/pause:3.10"}}]
"#
    )
}

/// All pods of the set, by their node.
async fn there(client: &Client) -> BTreeMap<String, Vec<Pod>> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let list = ListParams::default().labels("app=surge");
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for pod in pods.list(&list).await.unwrap().items {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        found.entry(node.unwrap_or_default()).or_default().push(pod);
    }
    found
}

/// Waits until no old pod is there, and wakes the set's controller meanwhile. It keeps only the earliest of the wake-ups that it asked for:
/// one that is still due for the old pods is taken for that of the new ones, which are not ready for long enough by then, and nothing
/// wakes it again (Kubernetes 1.36). A change of the set does.
async fn woken(world: &World, client: &Client) {
    let asked = Cell::new(0);
    eventually("the old pods go", 60, || async {
        asked.set(asked.get() + 1);
        world.kubectl(&format!(
            "annotate ds surge asked={} --overwrite",
            asked.get()
        ));
        let is_old = |pod: &Pod| pod.labels()["version"] == "one";
        let pods = there(client).await;
        (!pods.values().flatten().any(is_old)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn fx_15_a_surge_gives_each_new_pod_its_share_beside_the_old_one() {
    let world = world().await;
    let client = world.install().await;
    let nodes = allocatable(&client).await;
    applied(&world, &template("surge", "{cpuPercentage: 10}"));
    applied(&world, &surging("one"));
    let before = running(&client, "surge", nodes.len()).await;
    let share = |node: &str| Some(nodes[node]["cpu"] * 15 / 100);
    applied(&world, &template("surge", "{cpuPercentage: 15}"));
    eventually("the old ones follow where they run", 60, || async {
        let pods = running(&client, "surge", nodes.len()).await;
        let follows = |(node, pod): (&String, &Pod)| request(pod, 0, "cpu") == share(node);
        pods.iter().all(follows).then_some(())
    })
    .await;
    applied(&world, &surging("two"));
    let beside = RefCell::new(BTreeSet::new());
    eventually("both are there on each node", 120, || async {
        for (node, pods) in there(&client).await {
            let new = pods.iter().find(|pod| pod.labels()["version"] == "two");
            let old = pods.iter().find(|pod| pod.labels()["version"] == "one");
            let (Some(new), Some(_)) = (new, old) else {
                continue;
            };
            if nodes.contains_key(&node) {
                assert_eq!(request(new, 0, "cpu"), share(&node), "{node}");
                beside.borrow_mut().insert(node);
            }
        }
        (beside.borrow().len() == nodes.len()).then_some(())
    })
    .await;
    woken(&world, &client).await;
    let after = running(&client, "surge", nodes.len()).await;
    for (node, pod) in &after {
        assert_ne!(pod.uid(), before[node].uid());
        assert_eq!(pod.labels()["version"], "two");
        assert_eq!(request(pod, 0, "cpu"), share(node), "{node}");
    }
    eventually("all are counted as sized", 60, || async {
        let told =
            world.kubectl("get fdt surge -o jsonpath={.status.pods.sized}/{.status.pods.total}");
        (told == format!("{0}/{0}", nodes.len())).then_some(())
    })
    .await;
    removed(&client, "surge").await;
}
