//! What LimitRanges do to a share. A pod that breaks one is refused by the API server.

use super::*;
use crate::sizing::testkit::{amounts, container, patched, pod};
use crate::sizing::view::{Bounds, Role};

/// A LimitRange that allows a pod no more than this.
fn at_most(most: &str) -> LimitRangeView {
    LimitRangeView {
        name: "tight".into(),
        pod: Bounds {
            max: amounts(most),
            ..Bounds::default()
        },
        ..LimitRangeView::default()
    }
}

/// The cpu that containers ask for, init containers first.
fn cpu(pod: &Value) -> Vec<Option<String>> {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    let all = lists.into_iter().flatten().flatten();
    all.map(|one| Some(one["resources"]["requests"]["cpu"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn a_limit_range_bounds_pods_and_containers_and_is_told() {
    let range = LimitRangeView {
        name: "tight".into(),
        container: Bounds {
            max: amounts("cpu=150m"),
            min: amounts("memory=512Mi"),
            ratio: amounts("memory=1"),
        },
        pod: Bounds {
            max: amounts("storage=512Mi"),
            ..Bounds::default()
        },
    };
    let cluster = cluster()
        .template("default", json!({ "cpuPercentage": 10, "memoryPercentage": 10, "storagePercentage": 10, "limits": { "memory": "300%" } }))
        .limit_range(range);
    let judged = cluster.judge(&pod("agent", "small", one()));
    let admitted = patched(&pod("agent", "small", one()), &judged.answer);
    assert_eq!(
        resources(&admitted, 0),
        both(json!({ "cpu": "150m", "memory": "512Mi", "ephemeral-storage": "512Mi" }))
    );
    assert!(
        judged
            .answer
            .warnings
            .iter()
            .all(|warning| warning.contains("LimitRange tight")),
        "{:?}",
        judged.answer.warnings
    );
    assert_eq!(judged.answer.warnings.len(), 4);
}

#[test]
fn the_annotation_says_what_the_containers_come_to() {
    let said = |cluster: &Cluster, given: &Value| {
        let admitted = cluster.admit(given);
        let again = cluster.judge(&admitted);
        assert_eq!((again.verdict, again.answer.patch), ("already", None));
        let said = &admitted["metadata"]["annotations"]["holdfast.dev/share"];
        said.as_str().unwrap().to_owned()
    };
    let names = ["a", "b"];
    let own = names.map(|name| container(name, Role::Main, "")).to_vec();
    let given = pod(
        "agent",
        "small",
        json!(names.map(|name| json!({ "name": name }))),
    );
    let spec = |rules: Value| json!({ "cpuPercentage": 50, "containers": rules });
    let heavy = json!([{ "name": "a", "weight": 3 }]);
    let cluster = |rules: &Value| {
        cluster()
            .template("default", spec(rules.clone()))
            .daemonset("agent", Some("default"), own.clone())
    };
    let most = |cpu: &str| LimitRangeView {
        container: Bounds {
            max: amounts(cpu),
            ..Bounds::default()
        },
        ..at_most("")
    };
    // 750m and 250m, of which a container may have 600m.
    let bounded = cluster(&heavy).limit_range(most("cpu=600m"));
    let fixed = json!([{ "name": "a", "fixed": { "cpu": "1200m" } }]);
    for (cluster, cpu) in [
        (cluster(&heavy), "1"),
        (bounded, "850m"),
        (cluster(&fixed), "1200m"),
        (cluster(&fixed).limit_range(at_most("cpu=700m")), "700m"),
    ] {
        let expected = format!("cpu={cpu} of node small by template default");
        assert_eq!(said(&cluster, &given), expected);
    }
    // What keeps its own comes on top of the share.
    let mut injected = given;
    let containers = injected["spec"]["containers"].as_array_mut().unwrap();
    containers.push(json!({ "name": "injected", "resources": both(json!({ "cpu": "1" })) }));
    assert!(said(&cluster(&heavy), &injected).starts_with("cpu=1 of"));
}

#[test]
fn fixed_amounts_are_cut_only_where_nobody_would_take_the_pod() {
    let left = Some("90m");
    // (what is fixed, what a LimitRange allows a pod, what the third container has, what they get, what is told)
    for (fixed, most, third, expected, says) in [
        (
            ["300m", "600m"],
            "",
            None,
            ["300m", "600m"],
            "come to 900m, and the share is 200m",
        ),
        (
            ["3", "1"],
            "",
            None,
            ["1500m", "500m"],
            "the node leaves 2 of cpu",
        ),
        (
            ["300m", "600m"],
            "cpu=450m",
            None,
            ["150m", "300m"],
            "LimitRange tight leaves 450m",
        ),
        (
            ["300m", "600m"],
            "cpu=450m",
            left,
            ["120m", "240m"],
            "LimitRange tight leaves 360m",
        ),
        (
            ["100m", "100m"],
            "cpu=250m",
            left,
            ["80m", "80m"],
            "LimitRange tight leaves 160m",
        ),
    ] {
        let names = ["a", "b", "c"];
        let own = names.map(|name| container(name, Role::Main, ""));
        let rules = names.iter().zip(fixed);
        let rules: Vec<_> = rules
            .map(|(name, cpu)| json!({ "name": name, "fixed": { "cpu": cpu } }))
            .collect();
        let spec = json!({ "cpuPercentage": 10, "containers": rules });
        let cluster = cluster()
            .template("default", spec)
            .daemonset("agent", Some("default"), own.to_vec())
            .limit_range(at_most(most));
        let mut given = vec![json!({ "name": "a" }), json!({ "name": "b" })];
        let third =
            third.map(|cpu| json!({ "name": "c", "resources": both(json!({ "cpu": cpu })) }));
        given.extend(third);
        let pod = pod("agent", "small", json!(given));
        let judged = cluster.judge(&pod);
        let found = cpu(&patched(&pod, &judged.answer));
        assert_eq!(found[..2], expected.map(|cpu| Some(cpu.to_owned())));
        let told = judged.answer.warnings.join("\n");
        assert!(told.contains(says), "{told}");
    }
}

#[test]
fn a_fixed_amount_of_an_init_container_fits_in_beside_the_sidecars_before_it() {
    let containers = json!([
        { "name": "mesh", "fixed": { "cpu": "100m" } }, { "name": "setup", "fixed": { "cpu": "3" } },
    ]);
    let given = json!([
        { "name": "mesh", "init": true, "restartPolicy": "Always" }, { "name": "setup", "init": true }, { "name": "agent" },
    ]);
    let own = vec![
        container("mesh", Role::Sidecar, ""),
        container("setup", Role::Init, ""),
        container("agent", Role::Main, ""),
    ];
    for (bounds, setup) in [("cpu=450m", "350m"), ("cpu=10", "1900m")] {
        let spec = json!({ "cpuPercentage": 10, "containers": containers });
        let cluster = cluster()
            .template("default", spec)
            .daemonset("agent", Some("default"), own.clone())
            .limit_range(at_most(bounds));
        let admitted = cluster.admit(&pod("agent", "small", given.clone()));
        let expected = ["100m", setup, "100m"].map(|cpu| Some(cpu.to_owned()));
        assert_eq!(cpu(&admitted), expected);
    }
}

#[test]
fn limits_of_containers_that_keep_their_own_come_off_what_a_pod_may_have() {
    let cluster = cluster()
        .template("default", json!({ "cpuPercentage": 50 }))
        .limit_range(at_most("cpu=1"));
    let injected = json!({ "requests": { "cpu": "100m" }, "limits": { "cpu": "700m" } });
    let given = json!([{ "name": "agent" }, { "name": "injected", "resources": injected }]);
    let admitted = cluster.admit(&pod("agent", "small", given));
    assert_eq!(resources(&admitted, 0), both(json!({ "cpu": "300m" })));
}

#[test]
fn no_share_makes_a_pod_that_a_limit_range_refuses() {
    // The least of a container makes three shares of 1 CPU come to more than a pod may have.
    let mut range = at_most("cpu=1");
    range.container.min = amounts("cpu=300m");
    let names = ["a", "b", "c"];
    let own = names.map(|name| container(name, Role::Main, ""));
    let spec = json!({ "cpuPercentage": 50, "memoryPercentage": 10, "containers": [{ "name": "a", "weight": 8 }] });
    let cluster = cluster()
        .template("default", spec)
        .daemonset("agent", Some("default"), own.to_vec())
        .limit_range(range);
    let of = |cpu: &str| {
        let resources = both(json!({ "cpu": cpu }));
        let given = names.map(|name| json!({ "name": name, "resources": resources }));
        pod("agent", "small", json!(given))
    };
    let judged = cluster.judge(&of("330m"));
    let admitted = patched(&of("330m"), &judged.answer);
    assert_eq!(cpu(&admitted), names.map(|_| Some("330m".to_owned())));
    assert!(resources(&admitted, 0)["requests"]["memory"].is_string());
    let told = judged.answer.warnings.join("\n");
    assert!(
        told.contains("LimitRange tight would refuse the pod with its share of cpu"),
        "{told}"
    );
    // One that is refused as it is may as well have its share.
    let admitted = cluster.admit(&of("340m"));
    let shares = ["800m", "300m", "300m"];
    assert_eq!(cpu(&admitted), shares.map(|cpu| Some(cpu.to_owned())));
    // Where there is nothing else to give, it is told why.
    let cluster = cluster.template(
        "default",
        json!({ "cpuPercentage": 50, "containers": [{ "name": "a", "weight": 8 }] }),
    );
    let judged = cluster.judge(&of("330m"));
    assert_eq!(judged.left, Some("nothing_to_give"));
    let warning = &judged.answer.warnings[0];
    assert!(
        warning.contains("LimitRange tight would refuse"),
        "{warning}"
    );
}

#[test]
fn the_limits_of_a_pod_keep_to_what_a_limit_range_allows_a_pod() {
    let (ratio, max) = (amounts("cpu=2"), amounts("cpu=500m"));
    let spec = json!({ "cpuPercentage": 10, "limits": { "cpu": "300%" } });
    for bounds in [
        Bounds {
            ratio,
            ..Bounds::default()
        },
        Bounds {
            max,
            ..Bounds::default()
        },
    ] {
        let range = LimitRangeView {
            pod: bounds,
            ..at_most("")
        };
        let cluster = cluster()
            .template("default", spec.clone())
            .limit_range(range);
        let judged = cluster.judge(&pod("agent", "small", one()));
        let admitted = patched(&pod("agent", "small", one()), &judged.answer);
        assert_eq!(resources(&admitted, 0), both(json!({ "cpu": "200m" })));
        let [warning] = &judged.answer.warnings[..] else {
            panic!("{:?}", judged.answer.warnings)
        };
        assert!(
            warning.contains("LimitRange tight allows a pod less"),
            "{warning}"
        );
    }
}
