//! Pages whose commands are run as they stand.

use crate::shares::{allocatable, request, running};
use crate::world::{IMAGE, World, root, succeed, world};
use std::path::Path;
use std::process::Command;

/// The blocks of shell commands of a page.
pub(crate) fn commands(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// Runs a block as a user would, at the top of the checkout, with kubectl and the program in the PATH.
pub(crate) fn run(world: &World, block: &str) -> String {
    let kubectl = world.command(&["tool", "kubectl"]);
    let folders = [kubectl.trim(), env!("CARGO_BIN_EXE_holdfast")]
        .map(|program| Path::new(program).parent().unwrap().display().to_string());
    let path = format!("{}:{}", folders.join(":"), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", block])
        .current_dir(root())
        .env("PATH", path)
        .env("KUBECONFIG", &world.kubeconfig)
        .env("IMG", IMAGE);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG")) {
        command.env_remove(name);
    }
    succeed(&mut command)
}

#[tokio::test]
async fn the_first_use_of_the_readme_works_as_it_stands() {
    let world = world().await;
    let client = world.install().await;
    let blocks = commands("README.md");
    let block = blocks.iter().find(|block| block.contains("deploy-samples"));
    let lines: Vec<_> = block.unwrap().lines().collect();
    let asks = |line: &&str| line.starts_with("kubectl get") || line.starts_with("holdfast");
    let first = lines.iter().position(asks).unwrap();
    let last = lines.iter().rposition(asks).unwrap();
    run(&world, &lines[..first].join("\n"));
    let nodes = allocatable(&client).await;
    let pods = running(&client, "example-daemonset", nodes.len()).await;
    for (node, pod) in &pods {
        let share = (nodes[node]["cpu"] / 10).max(100);
        assert_eq!(request(pod, 0, "cpu"), Some(share), "{node}");
    }
    let (node, pod) = pods.first_key_value().unwrap();
    let asked = lines[first..=last].join("\n");
    let told = run(
        &world,
        &asked.replace("--node NODE", &format!("--node {node}")),
    );
    let given = &pod.spec.as_ref().unwrap().containers[0].resources;
    let cpu = &given.as_ref().unwrap().requests.as_ref().unwrap()["cpu"].0;
    let of_the_node = |line: &str| line.starts_with(node.as_str()) && line.contains(cpu.as_str());
    assert!(told.lines().any(of_the_node), "{told}");
    for word in ["SIZED", "default-resource-percentages"] {
        assert!(told.contains(word), "{word}:\n{told}");
    }
    run(&world, &lines[last + 1..].join("\n"));
    let left = world.kubectl("get daemonset,fdt -o name");
    assert!(
        !left.contains("example") && !left.contains("default-resource"),
        "{left}"
    );
}
