//! What the check of a node says of it on its object, from outside of any pod.

use super::passing::NODE;
use crate::world::{World, text};
use serde_json::Value;
use std::process::Command;

pub(super) fn says_what_it_found_on_the_node_object(world: &World) {
    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.args(["host", "check", "--node", NODE, "--cri-socket", "/nowhere"]);
        let done = command
            .env("KUBECONFIG", &world.kubeconfig)
            .output()
            .unwrap();
        assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
        text(&done.stdout)
    };
    assert!(check().contains("run `holdfast host install`"));
    let told = world.kubectl(&format!("get node {NODE} -o json"));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        told["metadata"]["labels"]["holdfast.dev/runtime"],
        "installed"
    );
    let cpu = &told["metadata"]["annotations"]["node.holdfast.dev/cpu"];
    assert_eq!(cpu.as_str().map(str::len), Some(16), "{told}");
    let conditions = told["status"]["conditions"].as_array().unwrap();
    let fit = conditions.iter().find(|one| one["type"] == "HoldfastReady");
    assert_eq!(fit.unwrap()["status"], "False", "{told}");
    let taint = told.pointer("/spec/taints/0/key");
    assert_eq!(taint, Some(&Value::from("holdfast.dev/unfit")), "{told}");
    world.kubectl(&format!("label node {NODE} holdfast.dev/runtime-"));
    world.kubectl(&format!("taint node {NODE} holdfast.dev/unfit-"));
}
