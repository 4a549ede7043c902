use super::world::{DAEMONSETS, IN_TIME, NODES, TEMPLATES, World, daemonset, node, pod, until};
use super::*;
use crate::sizing::view::NodeView;
use crate::testkit::api_server::ApiServer;
use http::StatusCode;
use serde_json::json;

/// The next change; a test that waits for one that never comes ends.
async fn next(changes: &mut Changes) -> Change {
    let next = tokio::time::timeout(IN_TIME, changes.next());
    next.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn knows_what_is_there_and_what_comes_changes_and_goes() {
    let world = World::new();
    world.put_node("n1", "4");
    let world = world.synced().await;
    assert_eq!(
        (world.cpu("n1").as_deref(), world.cpu("n2")),
        (Some("4"), None)
    );
    world.put_node("n2", "8");
    world.put_node("n1", "3900m");
    until(|| world.cpu("n2").is_some()).await;
    assert_eq!(world.cpu("n1").as_deref(), Some("3900m"));
    world.server.remove(&format!("{NODES}/n1"));
    until(|| world.cpu("n1").is_none()).await;
    let mut names = Vec::new();
    world
        .caches
        .each_node(|name, _| names.push(name.to_owned()));
    assert_eq!(names, ["n2"]);
}

#[tokio::test(start_paused = true)]
async fn lists_in_pages() {
    let world = World::new();
    for number in 0..250 {
        world.put_node(&format!("n{number}"), "4");
    }
    let world = world.synced().await;
    assert_eq!(world.caches.nodes.mirror.len(), 250);
    // Three pages, and the watch.
    until(|| world.asked(NODES) == 4).await;
}

#[tokio::test(start_paused = true)]
async fn all_kinds_are_kept() {
    let world = World::new();
    world.server.put(
        "/apis/apps/v1/namespaces/monitoring/daemonsets/agent",
        daemonset("u1", "2"),
    );
    world.server.put(
        &format!("{TEMPLATES}/small"),
        json!({ "metadata": { "name": "small" }, "spec": { "cpuPercentage": 10 } }),
    );
    world.server.put(
        "/api/v1/namespaces/monitoring/limitranges/bounds",
        json!({ "metadata": { "name": "bounds", "namespace": "monitoring" }, "spec": { "limits": [{ "type": "Container", "max": { "cpu": "2" } }] } }),
    );
    world.server.put("/api/v1/namespaces/kube-system", json!({ "metadata": { "name": "kube-system", "labels": { "holdfast.dev/sizing": "enabled" } } }));
    let world = world.synced().await;
    let caches = &world.caches;
    assert_eq!(&*caches.daemonset("monitoring", "agent").unwrap().uid, "u1");
    assert_eq!(caches.daemonset("other", "agent"), None);
    assert!(caches.template("small").unwrap().recipe.is_ok());
    assert_eq!(caches.limit_ranges("monitoring").len(), 1);
    assert_eq!(caches.limit_ranges("other").len(), 0);
    assert_eq!(caches.exclusion("kube-system"), None);
    let (mut daemonsets, mut templates) = (0, 0);
    caches.each_daemonset(|namespace, name, _| {
        daemonsets += usize::from((namespace, name) == ("monitoring", "agent"));
    });
    caches.each_template(|name, _| templates += usize::from(name == "small"));
    assert_eq!((daemonsets, templates), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn daemonsets_of_namespaces_that_are_left_out_do_not_share() {
    let world = World::new();
    world.server.put(
        &format!("{TEMPLATES}/small"),
        json!({ "metadata": { "name": "small" }, "spec": { "cpuPercentage": 10 } }),
    );
    for namespace in ["apps", "own", "kube-system", "left-out"] {
        let mut daemonset = daemonset(namespace, "1");
        daemonset["metadata"]["namespace"] = json!(namespace);
        daemonset["metadata"]["annotations"]["flexdaemonsets.xai/resource-template"] =
            json!("small");
        let path = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/agent");
        world.server.put(&path, daemonset);
    }
    let label = |namespace: &str, value: &str| {
        let labels = json!({ "holdfast.dev/sizing": value });
        let namespaced = json!({ "metadata": { "name": namespace, "labels": labels } });
        let path = format!("/api/v1/namespaces/{namespace}");
        world.server.put(&path, namespaced);
    };
    label("left-out", "disabled");
    world.run();
    let caches = &world.caches;
    until(|| caches.are_synced().is_ok()).await;
    let sharing = || {
        let crowd = caches.crowd();
        let sharing = crowd.members().filter(|member| member.recipe.is_some());
        let mut names: Vec<_> = sharing
            .map(|member| member.daemonset.uid.to_string())
            .collect();
        names.sort();
        names
    };
    assert_eq!(sharing(), ["apps"]);
    for namespace in ["own", "kube-system", "left-out"] {
        label(namespace, "enabled");
    }
    until(|| sharing() == ["apps", "kube-system", "left-out"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_fresh_daemonset_is_the_very_one_and_not_older_than_the_pod() {
    let world = World::new();
    world.server.put(
        "/apis/apps/v1/namespaces/monitoring/daemonsets/agent",
        daemonset("u1", "2"),
    );
    let world = world.synced().await;
    let is_fresh = |uid, generation| {
        let claim = Claim {
            namespace: "monitoring",
            name: "agent",
            uid,
            generation,
        };
        world.caches.daemonset_fresh(&claim).is_some()
    };
    assert!(is_fresh("u1", Some(2)) && is_fresh("u1", Some(1)) && is_fresh("u1", None));
    assert!(!is_fresh("u1", Some(3)), "the watch lags");
    assert!(!is_fresh("u2", Some(2)), "it was made anew under its name");
}

#[tokio::test(start_paused = true)]
async fn a_cut_watch_goes_on_where_it_was() {
    let world = World::new();
    world.put_node("n1", "4");
    let world = world.synced().await;
    until(|| world.asked(NODES) == 2).await;
    world.server.cut_watches();
    assert!(world.cpu("n1").is_some());
    world.put_node("n2", "8");
    until(|| world.cpu("n2").is_some()).await;
    assert_eq!(world.asked(NODES), 3, "it was not listed anew");
}

#[tokio::test(start_paused = true)]
async fn what_went_while_history_was_forgotten_goes_with_the_next_list() {
    let world = World::new();
    for name in ["n1", "n2"] {
        world.put_node(name, "4");
    }
    let world = world.synced().await;
    let mut changes = world.caches.changes();
    assert_eq!(next(&mut changes).await, Change::Everything);
    world
        .server
        .refuse_once(&format!("GET {NODES}"), StatusCode::SERVICE_UNAVAILABLE);
    world.server.cut_watches();
    world.server.remove(&format!("{NODES}/n1"));
    world.put_node("n3", "4");
    world.server.forget_history();
    assert!(world.cpu("n1").is_some(), "the former content stays");
    let told: std::collections::HashSet<_> =
        [next(&mut changes).await, next(&mut changes).await].into();
    assert_eq!(
        told,
        ["n1", "n3"].map(|name| Change::Node(name.into())).into()
    );
    let known = ["n1", "n2", "n3"].map(|name| world.cpu(name).is_some());
    assert_eq!(known, [false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_is_answered_for_and_its_silence_grows() {
    let world = World::new();
    world.put_node("n1", "4");
    let world = world.synced().await;
    world.server.cut_off(true);
    world.server.cut_watches();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.cpu("n1").as_deref(), Some("4"));
    assert!(world.caches.are_synced().is_ok());
    assert!(world.age("nodes") > 58.0, "{}", world.age("nodes"));
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_is_a_sign_of_life() {
    let world = World::new().synced().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.age("nodes") > 58.0);
    world.server.bookmark(NODES);
    // On a clock that leaps; and before any watch is begun anew, which would be a sign of life too.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(world.age("nodes") < 3.0, "{}", world.age("nodes"));
    assert!(world.age("flexdaemonsettemplates") > 58.0);
}

#[tokio::test(start_paused = true)]
async fn a_missing_crd_is_named_and_looked_for_again() {
    let mut world = World::new();
    world.server = ApiServer::default();
    for empty in [
        NODES,
        DAEMONSETS,
        "/api/v1/limitranges",
        "/api/v1/namespaces",
    ] {
        world.server.serve_empty(empty);
    }
    world.run();
    until(|| {
        world
            .caches
            .are_synced()
            .is_err_and(|why| why.contains("is the CRD installed"))
    })
    .await;
    let why = world.caches.are_synced().unwrap_err();
    assert!(
        why.contains("flexdaemonsettemplates (cannot list") && !why.contains("nodes"),
        "{why}"
    );
    world.server.serve_empty(TEMPLATES);
    until(|| world.caches.are_synced().is_ok()).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_named() {
    let world = World::new();
    world.server.forbid(&format!("GET {NODES}"));
    world.run();
    until(|| {
        world
            .caches
            .are_synced()
            .is_err_and(|why| why.contains("ClusterRole"))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_and_a_heartbeat_is_none() {
    let world = World::new();
    world.put_node("n1", "4");
    let world = world.synced().await;
    let mut changes = world.caches.changes();
    assert_eq!(next(&mut changes).await, Change::Everything);
    let before = world.caches.node("n1").unwrap();
    let mut heartbeat = node("n1", "4");
    heartbeat["status"]["conditions"] =
        json!([{ "type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:10Z" }]);
    world.server.put(&format!("{NODES}/n1"), heartbeat);
    world.put_node("n2", "4");
    assert_eq!(next(&mut changes).await, Change::Node("n2".into()));
    assert!(Arc::ptr_eq(&before, &world.caches.node("n1").unwrap()));
}

#[tokio::test(start_paused = true)]
async fn pods_are_kept_while_leading_and_then_forgotten() {
    let world = World::new();
    for (name, owner) in [("a", "u1"), ("b", "u1"), ("c", "u2")] {
        world.server.put(
            &format!("/api/v1/namespaces/monitoring/pods/{name}"),
            pod(name, owner),
        );
    }
    let mut stranger = pod("d", "u1");
    stranger["metadata"]["ownerReferences"] = json!(null);
    world
        .server
        .put("/api/v1/namespaces/monitoring/pods/d", stranger);
    let caches = Arc::clone(&world.caches);
    let leading = world.stop.child_token();
    let running =
        tokio::spawn(Arc::clone(&caches).run_pods(world.server.client(), leading.clone()));
    until(|| caches.are_pods_synced().is_ok()).await;
    assert_eq!(
        (caches.pods_of("u1").len(), caches.pods_of("u2").len()),
        (2, 1)
    );
    assert!(caches.pod("monitoring", "d").is_none());
    assert!(
        world
            .telemetry
            .text()
            .contains(r#"holdfast_cache_objects{kind="pods"}"#)
    );
    let mut changes = caches.changes();
    assert_eq!(next(&mut changes).await, Change::Everything);
    world.server.remove("/api/v1/namespaces/monitoring/pods/c");
    assert_eq!(next(&mut changes).await, Change::Pod("u2".into()));
    assert_eq!(caches.pods_of("u2"), []);
    leading.cancel();
    running.await.unwrap();
    assert!(caches.are_pods_synced().is_err() && caches.pods_of("u1").is_empty());
    assert!(!world.telemetry.text().contains(r#"kind="pods""#));
}

#[tokio::test(start_paused = true)]
async fn nodes_share_their_texts() {
    let world = World::new();
    for number in 0..1000 {
        world.put_node(&format!("n{number}"), "4");
    }
    let world = world.synced().await;
    // Two keys and one value for all; each node's own name, which is its hostname too.
    assert!(
        world.caches.texts.len() <= 1010,
        "{}",
        world.caches.texts.len()
    );
    let mut nodes = 0;
    let mut first = None;
    world.caches.each_node(|name, node| {
        nodes += 1;
        assert_eq!(node.labels.get("kubernetes.io/hostname"), Some(name));
        assert_eq!(node.labels.get("kubernetes.io/os"), Some("linux"));
        let first = first.get_or_insert_with(|| node.labels.clone());
        assert!(node.labels.is_like(first), "{name} has a list of its own");
    });
    assert_eq!(nodes, 1000);
    assert!(size_of::<NodeView>() <= 192);
}
