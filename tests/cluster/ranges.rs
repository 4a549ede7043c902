//! LimitRanges on a real cluster: the API server refuses a pod that breaks one, so no share may.

use crate::shares::{applied, running, share};
use crate::world::world;

const RANGE: &str = "apiVersion: v1
kind: LimitRange
metadata: {name: tight}
spec: {limits: [{type: Pod, max: {cpu: 300m}}]}
";

/// Two containers with fixed amounts, and resources of the pod as a whole that say nothing.
const CONTAINERS: &str = "resources: {}
      containers: [{name: a, image: 'registry.k8s.io/pause:3.10'}, {name: b, image: 'registry.k8s.io/pause:3.10'}]";

#[tokio::test]
async fn fixed_amounts_are_cut_to_what_a_limit_range_allows_a_pod() {
    let world = world().await;
    let client = world.install().await;
    applied(&world, RANGE);
    let spec = "{cpuPercentage: 1, containers: [{name: a, fixed: {cpu: 300m}}, {name: b, fixed: {cpu: 600m}}]}";
    applied(&world, &share("fixed", spec, CONTAINERS));
    for (node, pod) in running(&client, "fixed", 2).await {
        let spec = pod.spec.as_ref().unwrap();
        let given = spec.containers.iter().map(|container| {
            let resources = container.resources.as_ref().unwrap();
            let lists = [&resources.requests, &resources.limits];
            lists.map(|list| list.as_ref().unwrap()["cpu"].0.clone())
        });
        let given: Vec<_> = given.collect();
        assert_eq!(given, [["100m", "100m"], ["200m", "200m"]]);
        let said = &pod.metadata.annotations.as_ref().unwrap()["holdfast.dev/share"];
        assert_eq!(*said, format!("cpu=300m of node {node} by template fixed"));
    }
    world.kubectl("delete daemonset,fdt fixed --wait");
    world.kubectl("delete limitrange tight");
}
