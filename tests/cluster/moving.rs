//! Moving from FlexDaemonsets, as its page says: the commands of docs/moving-from-flexdaemonsets.md, run in their order on a cluster with
//! the remains of an earlier installation, which refuses every pod.

use crate::pages::{commands, run};
use crate::shares::{applied, daemonset, running, template};
use crate::world::{World, eventually, text, world};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client};

/// As the earlier project installs itself: names, scopes and failure policy; its program has no image here, as its backend was often away.
const EARLIER: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: flexdaemonsettemplates.flexdaemonsets.xai}
spec:
  group: flexdaemonsets.xai
  scope: Cluster
  names: {plural: flexdaemonsettemplates, singular: flexdaemonsettemplate, kind: FlexDaemonsetTemplate, shortNames: [fdt]}
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [cpuPercentage, memoryPercentage, storagePercentage]
              properties:
                cpuPercentage: {type: integer, format: int32, minimum: 1, maximum: 100}
                memoryPercentage: {type: integer, format: int32, minimum: 1, maximum: 100}
                storagePercentage: {type: integer, format: int32, minimum: 1, maximum: 100}
                minCPU: {type: string}
                minMemory: {type: string}
                minStorage: {type: string}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: flexdaemonsetnodepods.flexdaemonsets.xai}
spec:
  group: flexdaemonsets.xai
  scope: Namespaced
  names: {plural: flexdaemonsetnodepods, singular: flexdaemonsetnodepod, kind: FlexDaemonSetNodePod}
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: v1
kind: Namespace
metadata: {name: flexdaemonsets-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: flexdaemonsets-webhook-sa, namespace: flexdaemonsets-system}
---
apiVersion: v1
kind: Service
metadata: {name: flexdaemonsets-webhook-svc, namespace: flexdaemonsets-system}
spec: {selector: {app: flexdaemonsets-webhook}, ports: [{port: 443, targetPort: 9443}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: flexdaemonsets-webhook-deployment, namespace: flexdaemonsets-system}
spec:
  replicas: 2
  selector: {matchLabels: {app: flexdaemonsets-webhook}}
  template:
    metadata: {labels: {app: flexdaemonsets-webhook}}
    spec:
      serviceAccountName: flexdaemonsets-webhook-sa
      containers: [{name: webhook, image: "registry.invalid/flex-ds:earlier", imagePullPolicy: Never}]
---
apiVersion: v1
kind: Pod
metadata: {name: agent-node1-pod, labels: {flexdaemonsets.xai/managed-by: FlexDaemonSetNodePodController}}
spec: {nodeName: node1, terminationGracePeriodSeconds: 0, containers: [{name: c, image: "registry.k8s.io/pause:3.10"}]}
"#;

/// Comes last: from now on nobody can create a pod.
const EARLIER_WEBHOOK: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: flexdaemonsets-mutating-webhook}
webhooks:
  - name: pods.flexdaemonsets.xai
    clientConfig: {service: {name: flexdaemonsets-webhook-svc, namespace: flexdaemonsets-system, path: /mutate-v1-pod}}
    rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
    failurePolicy: Fail
    timeoutSeconds: 5
    sideEffects: None
    admissionReviewVersions: [v1]
"#;

async fn pods_of(client: &Client, selector: &str) -> usize {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let list = ListParams::default().labels(selector);
    pods.list(&list).await.unwrap().items.len()
}

/// Of us, by kind and name.
fn left(world: &World, kinds: &str) -> String {
    world.kubectl(&format!(
        "get {kinds} -A -l app.kubernetes.io/part-of=holdfast -o name"
    ))
}

const ALL: &str = "deployment,service,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding,mutatingwebhookconfiguration,validatingwebhookconfiguration,poddisruptionbudget,resourcequota,validatingadmissionpolicy,validatingadmissionpolicybinding";

/// `undeploy` takes the installation and keeps the templates, as its users know it; `undeploy-manifests` takes all.
fn an_uninstall_deletes_what_it_says(world: &World) {
    assert!(left(world, ALL).contains("deployment.apps/flexdaemonsets"));
    let said = world.make(&["undeploy", "OVERLAY=flexdaemonsets"]);
    assert!(said.contains("kubectl delete crd"), "{said}");
    assert_eq!(left(world, ALL), "");
    assert_eq!(
        world.kubectl("get fdt -o name").trim(),
        "flexdaemonsettemplate.flexdaemonsets.xai/agent"
    );
    world.kubectl("get namespace flexdaemonsets-system");
    // Nothing is there any more, and that is no error.
    world.make(&["undeploy", "OVERLAY=flexdaemonsets"]);
    world.make(&["undeploy-manifests", "OVERLAY=flexdaemonsets"]);
    assert_eq!(left(world, &format!("{ALL},crd,namespace")), "");
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one story")]
async fn f01_f02_f03_f09_the_page_leads_from_an_installation_that_refuses_every_pod_to_shares() {
    let world = world().await;
    let client = world.install().await;
    world.make(&["undeploy"]);
    world.kubectl("delete crd -l app.kubernetes.io/part-of=holdfast");
    applied(&world, EARLIER);
    eventually("the bare pod runs", 60, || async {
        (pods_of(&client, "flexdaemonsets.xai/managed-by").await == 1).then_some(())
    })
    .await;
    let spec = "{cpuPercentage: 10, memoryPercentage: 5, storagePercentage: 1, minCPU: 100m}";
    eventually("their kind is served", 20, || async {
        world
            .apply(&template("agent", spec))
            .status
            .success()
            .then_some(())
    })
    .await;
    applied(&world, EARLIER_WEBHOOK);
    eventually("every pod is refused", 30, || async {
        let refused = world
            .kubectl_command("run nobody --image=x --dry-run=server")
            .output();
        (!refused.unwrap().status.success()).then_some(())
    })
    .await;
    applied(
        &world,
        &daemonset(
            "agent",
            "agent",
            "containers: [{name: c, image: 'registry.k8s.io/pause:3.10'}]",
        ),
    );
    let blocks = commands("docs/moving-from-flexdaemonsets.md");
    assert_eq!(blocks.len(), 5, "{blocks:?}");
    let seen = run(&world, &blocks[0]);
    assert!(seen.contains("agent"), "{seen}");
    for block in &blocks[1..] {
        run(&world, block);
    }
    assert_eq!(pods_of(&client, "flexdaemonsets.xai/managed-by").await, 0);
    let nodes: Api<Node> = Api::all(client.clone());
    let count = nodes
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .len();
    // The DaemonSet controller was refused again and again, and has gone into long pauses; new pods come by a roll-out.
    world.kubectl("rollout restart daemonset agent");
    eventually("its pods have their share", 90, || async {
        let found = running(&client, "agent", count).await;
        found
            .values()
            .all(|pod| {
                pod.metadata
                    .annotations
                    .as_ref()
                    .is_some_and(|all| all.contains_key("holdfast.dev/share"))
            })
            .then_some(())
    })
    .await;
    assert_eq!(
        pods_of(&client, "app=agent").await,
        count,
        "one for each node, and none beside them"
    );
    let told = world.kubectl_command("get fdt agent").output().unwrap();
    assert!(
        text(&told.stdout).contains("SIZED"),
        "{}",
        text(&told.stdout)
    );
    world.kubectl("delete daemonset agent");
    an_uninstall_deletes_what_it_says(&world);
    world.install().await;
}
