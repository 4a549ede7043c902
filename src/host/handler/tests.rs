use super::*;

const PLACE: &str = "/opt/holdfast/bin/holdfast-runtime";

fn effective(version: i64, runc: Value) -> Value {
    let dialect = Dialect(version);
    let mut value = json!({"version": version, "imports": ["/a"], "plugins": {}});
    let containerd = json!({"default_runtime_name": "runc", "runtimes": {"runc": runc}});
    put(
        &mut value,
        &["plugins", dialect.plugin(), "containerd"],
        containerd,
    );
    value
}

fn runc() -> Value {
    json!({
        "runtime_type": SHIM, "runtime_path": "", "snapshotter": "", "sandboxer": "podsandbox", "cni_max_conf_num": 0,
        "base_runtime_spec": "/etc/spec.json", "pod_annotations": [], "container_annotations": ["x/*"],
        "options": {"BinaryName": "", "SystemdCgroup": true, "Root": "/run/r", "IoUid": 0, "CriuImagePath": ""},
    })
}

#[test]
fn the_handler_is_the_default_one_with_our_program() {
    for version in [2, 3, 4] {
        let found = wanted(&effective(version, runc()), Path::new(PLACE)).unwrap();
        let expected = json!({
            "runtime_type": SHIM, "sandboxer": "podsandbox", "base_runtime_spec": "/etc/spec.json",
            "pod_annotations": ["holdfast.dev/*"], "container_annotations": ["x/*"],
            "options": {"BinaryName": PLACE, "SystemdCgroup": true, "Root": "/run/r"},
        });
        assert_eq!(
            found,
            Wanted {
                table: expected,
                named: None,
                is_systemd: true
            }
        );
    }
}

#[test]
fn annotations_that_others_need_stay() {
    let mut with = runc();
    put(&mut with, &["pod_annotations"], json!(["org.criu.config"]));
    let found = wanted(&effective(3, with), Path::new(PLACE)).unwrap();
    assert_eq!(
        found.table["pod_annotations"],
        json!(["org.criu.config", "holdfast.dev/*"])
    );
}

#[test]
fn a_default_handler_of_another_kind_gives_nothing() {
    let mut value = effective(2, runc());
    let containerd = ["plugins", Dialect(2).plugin(), "containerd"];
    let kata = json!({"runtime_type": "io.containerd.kata.v2", "options": {"ConfigPath": "/k"}});
    put(
        &mut value,
        &[&containerd[..], &["runtimes", "kata"]].concat(),
        kata,
    );
    put(
        &mut value,
        &[&containerd[..], &["default_runtime_name"]].concat(),
        json!("kata"),
    );
    let found = wanted(&value, Path::new(PLACE)).unwrap();
    assert_eq!(
        text(&found.table, &["options", "Root"]),
        "/run/r",
        "runc's are taken"
    );
    let only_kata = effective(2, json!({"runtime_type": "io.containerd.kata.v2"}));
    let found = wanted(&only_kata, Path::new(PLACE)).unwrap();
    assert_eq!(found.table["options"], json!({"BinaryName": PLACE}));
}

#[test]
fn the_runtime_that_the_node_names_is_kept_in_mind() {
    let mut with = runc();
    put(
        &mut with,
        &["options", "BinaryName"],
        json!("/usr/bin/crun"),
    );
    let found = wanted(&effective(3, with), Path::new(PLACE)).unwrap();
    assert_eq!(found.named.as_deref(), Some("/usr/bin/crun"));
    assert_eq!(text(&found.table, &["options", "BinaryName"]), PLACE);
}

#[test]
fn what_cannot_be_meant_is_refused_with_a_cure() {
    let mut off = effective(2, runc());
    off["disabled_plugins"] = json!(["cri"]);
    let error = wanted(&off, Path::new(PLACE)).unwrap_err().to_string();
    assert!(error.contains("disabled_plugins"), "{error}");
    let error = Dialect::of("/etc/x.toml", &json!({"root": "/x"}))
        .unwrap_err()
        .to_string();
    assert!(error.contains("containerd config migrate"), "{error}");
}

#[test]
fn only_our_handler_may_differ() {
    let before = effective(2, runc());
    let made = wanted(&before, Path::new(PLACE)).unwrap().table;
    let mut after = before.clone();
    put(&mut after, &Dialect(2).handler(NAME), made.clone());
    after["imports"] = json!(["/a", "/b"]);
    assert!(is_same_but_for_ours(&before, &after) && has(&after, &made) && !has(&before, &made));
    assert!(is_ours(present(&after).unwrap()));
    let mut filled = made.clone();
    put(&mut filled, &["cni_conf_dir"], json!(""));
    put(&mut after, &Dialect(2).handler(NAME), filled);
    assert!(has(&after, &made), "what is filled in means nothing");
    put(&mut after, &["plugins", "x", "y"], json!("z"));
    assert!(!is_same_but_for_ours(&before, &after));
}

#[test]
fn a_built_in_handler_that_vanishes_is_noticed() {
    let before = effective(2, runc());
    let mut after = before.clone();
    take(&mut after, &Dialect(2).handler("runc"));
    put(
        &mut after,
        &Dialect(2).handler(NAME),
        json!({"runtime_type": SHIM}),
    );
    let found = lost(&before, &after);
    let [(name, table)] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(
        (name.as_str(), text(table, &["sandboxer"])),
        ("runc", "podsandbox")
    );
    assert!(lost(&before, &before).is_empty());
}
