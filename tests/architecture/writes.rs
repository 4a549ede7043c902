//! Writes to the API server happen in one place, and each has its fault points.

use crate::source::{after, code, module_of, sources, squeezed};

/// Calls of kube's API handles that change something.
const WRITES: [&str; 22] = [
    "create",
    "replace",
    "patch",
    "delete",
    "evict",
    "patch_status",
    "replace_status",
    "delete_collection",
    "create_subresource",
    "patch_subresource",
    "patch_resize",
    "replace_resize",
    "replace_subresource",
    "patch_scale",
    "replace_scale",
    "patch_metadata",
    "patch_ephemeral_containers",
    "create_token_request",
    "restart",
    "cordon",
    "uncordon",
    "publish",
];

/// What is called like a write and is none: `str::replace`, opening a file, making a folder.
const NO_WRITES: [&str; 4] = [
    ".replace(\"",
    ".replace('",
    ".create(true",
    ".create(folder)",
];

/// The writes in a source, wherever its lines are broken and whatever the receiver is called.
fn writes(source: &str) -> Vec<String> {
    let mut code = squeezed(&code(source));
    for no_write in NO_WRITES {
        code = code.replace(no_write, "");
    }
    let mut found: Vec<_> = WRITES
        .iter()
        .flat_map(|name| [".", "Api::", ">::"].map(|on| format!("{on}{name}")))
        .filter(|call| code.contains(&format!("{call}(")) || code.contains(&format!("{call}::<")))
        .collect();
    // kube's helper puts finalizers up and takes them away by itself.
    let defined = code.matches("fn finalizer(").count();
    if after(&code, "finalizer(").len() > defined {
        found.push("finalizer".into());
    }
    found
}

#[test]
fn the_api_server_is_written_to_in_one_place() {
    for (path, source) in sources() {
        let is_of_tests = path.ends_with("tests.rs") || module_of(&path) == "testkit";
        let writers = ["src/process/writes.rs", "src/process/farewell.rs"];
        if !is_of_tests && !writers.contains(&path.to_string_lossy().as_ref()) {
            assert_eq!(
                writes(&source),
                Vec::<String>::new(),
                "{}: use process::writes, which has limits and fault points",
                path.display()
            );
        }
    }
}

#[test]
fn planted_writes_are_seen() {
    for planted in [
        "let x = api.patch(&name, &params, &patch).await?;",
        "self.nodes.delete(&name, &DeleteParams::default());",
        "nodes\n    .patch(\n        &name,\n        &params,\n    )\n    .await",
        "leases\n    .replace(&name, &params, &lease)",
        "nodes.cordon(&name).await",
        "deployments.restart(&name)",
        "sets.patch_scale(&name, &params, &patch)",
        "pods.patch_metadata(&name, &params, &patch)",
        "pods.create_subresource::<Eviction, Status>(\"eviction\", name, &params, body)",
        "Api::delete(&nodes, name, &params)",
        "Api::<Node>::delete(&nodes, name, &params)",
        "finalizer(&api, NAME, object, |event| async { act(event) })",
        "return finalizer(&api, NAME, object, act);",
        "kube::runtime::finalizer::finalizer(&api, NAME, object, act)",
        "recorder\n    .publish(&event, &regarding)",
    ] {
        assert!(!writes(planted).is_empty(), "{planted}");
    }
    for fine in [
        "module.replace(\"::\", \".\")",
        "std::mem::replace(&mut a, b)",
        "writes::create(&api, call, &object).await",
        "fn finalizer(name: &str) {}",
        "object.finalizers()",
        "// nodes.delete(name)",
    ] {
        assert_eq!(writes(fine), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn every_declared_write_has_its_fault_points_in_the_table() {
    let mut points = holdfast::app::fault_points();
    points.extend(holdfast::app::node_fault_points());
    let mut declared = 0;
    for (path, source) in sources() {
        let code = code(&source);
        let Some(block) = code
            .split("\nwrite_steps! {")
            .nth(1)
            .and_then(|rest| rest.split('}').next())
        else {
            continue;
        };
        let module = path
            .strip_prefix("src")
            .unwrap()
            .with_extension("")
            .to_string_lossy()
            .replace('/', ".");
        for name in block
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            declared += 1;
            for side in ["before", "after"] {
                let point = format!("{module}.{}.{side}", name.to_lowercase());
                assert!(
                    points.contains(&point),
                    "{point} is not listed: add the module's STEPS to src/app.rs"
                );
            }
        }
    }
    assert_eq!(
        declared * 2,
        points.len(),
        "a listed step is declared nowhere"
    );
}
