use super::*;
use crate::sizing::snapshot::tests::cluster;
use serde_json::json;

fn asked<'a>(name: &'a str, node: &'a str) -> Question<'a> {
    let (namespace, name) = name.split_once('/').unwrap();
    Question {
        namespace,
        name,
        node,
    }
}

fn explained(name: &str, node: &str) -> Explanation {
    explain(&cluster(), &asked(name, node)).unwrap()
}

fn share<'a>(explanation: &'a Explanation, resource: &str) -> &'a ResourceShare {
    let mut shares = explanation.resources.iter();
    shares.find(|share| share.resource == resource).unwrap()
}

fn part<'a>(explanation: &'a Explanation, container: &str) -> &'a ContainerAmount {
    let mut parts = explanation.containers.iter();
    &parts.find(|part| part.name == container).unwrap().amounts[0]
}

#[test]
fn the_formula_is_told_step_by_step() {
    let explanation = explained("apps/agent", "medium");
    assert_eq!((explanation.verdict, explanation.lands), ("sized", true));
    let cpu = share(&explanation, "cpu");
    assert_eq!(
        (cpu.base.as_deref(), cpu.percentage),
        (Some("3920m"), Some(10))
    );
    assert_eq!(
        (cpu.raw.as_deref(), cpu.share.as_deref()),
        (Some("392m"), Some("392m"))
    );
    assert_eq!((cpu.min.as_deref(), cpu.bound), (Some("300m"), None));
    let cpu = explained("apps/agent", "small");
    let cpu = share(&cpu, "cpu");
    assert_eq!(
        (cpu.raw.as_deref(), cpu.bound, cpu.share.as_deref()),
        (Some("200m"), Some("min"), Some("300m"))
    );
}

#[test]
fn the_line_and_the_patch_are_the_webhooks_own() {
    let explanation = explained("apps/agent", "medium");
    let line =
        "cpu=392m memory=2400Mi ephemeral-storage=2354687337 of node medium by template default";
    assert_eq!(explanation.share.as_deref(), Some(line));
    let patch = explanation.patch.unwrap();
    assert!(
        patch.to_string().contains("/spec/containers/0/resources"),
        "{patch}"
    );
    assert!(patch.to_string().contains(line), "{patch}");
}

#[test]
fn a_limit_range_is_told() {
    let explanation = explained("apps/agent", "large");
    assert_eq!(explanation.limit_ranges, ["bounds"]);
    assert_eq!(share(&explanation, "cpu").share.as_deref(), Some("6400m"));
    assert_eq!(part(&explanation, "agent").request.as_deref(), Some("4"));
    assert!(
        explanation.notes[0].contains("LimitRange bounds"),
        "{:?}",
        explanation.notes
    );
}

#[test]
fn each_container_says_why() {
    let explanation = explained("logging/logs", "medium");
    // 20 % of 3920m less the 100m of the network's DaemonSet.
    let cpu = share(&explanation, "cpu");
    assert_eq!(
        (cpu.others.as_deref(), cpu.base.as_deref()),
        (Some("100m"), Some("3820m"))
    );
    assert_eq!(cpu.share.as_deref(), Some("764m"));
    for (container, request, why) in [
        ("setup", "764m", "all that runs beside it leaves"),
        ("proxy", "50m", "fixed"),
        ("shipper", "536m", "weight 3 of 4"),
        ("reader", "178m", "weight 1 of 4"),
    ] {
        let part = part(&explanation, container);
        assert_eq!(part.request.as_deref(), Some(request), "{container}");
        assert!(part.why.contains(why), "{container}: {}", part.why);
    }
    assert_eq!(
        part(&explanation, "shipper").limit.as_deref(),
        Some("536m"),
        "raised"
    );
    assert_eq!(part(&explanation, "reader").limit, None);
    assert_eq!(explanation.overridden_by, None);
    let large = explained("logging/logs", "large");
    assert_eq!(large.overridden_by.as_deref(), Some("nodeOverrides[0]"));
    assert_eq!(share(&large, "cpu").percentage, Some(2));
}

#[test]
fn a_fixed_amount_that_was_cut_says_so() {
    let mut seen = cluster();
    for object in [
        json!({ "apiVersion": "flexdaemonsets.xai/v1alpha1", "kind": "FlexDaemonsetTemplate", "metadata": { "name": "logs" }, "spec": {
            "cpuPercentage": 20, "containers": [{ "name": "proxy", "fixed": { "cpu": "2" } }, { "name": "shipper", "exclude": true }],
        } }),
        json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "tight", "namespace": "logging" }, "spec": {
            "limits": [{ "type": "Pod", "max": { "cpu": "1" } }],
        } }),
    ] {
        seen.add(object).unwrap();
    }
    let explanation = explain(&seen, &asked("logging/logs", "medium")).unwrap();
    let proxy = part(&explanation, "proxy");
    assert_eq!(
        (proxy.request.as_deref(), &*proxy.why),
        (Some("500m"), "fixed by the template at 2, made smaller")
    );
    assert!(
        explanation.notes[1].starts_with("LimitRange tight leaves 500m of cpu"),
        "{:?}",
        explanation.notes
    );
}

#[test]
fn where_no_pod_lands_the_obstacle_is_named() {
    let explanation = explained("apps/agent", "gpu");
    assert!(!explanation.lands);
    assert!(
        explanation
            .obstacle
            .unwrap()
            .contains("dedicated=gpu:NoSchedule")
    );
    let explanation = explained("logging/logs", "gpu");
    assert!(explanation.obstacle.unwrap().contains("pool=general"));
}

#[test]
fn the_pod_that_runs_there_is_compared() {
    let pod = explained("apps/agent", "medium").pod.unwrap();
    assert_eq!(
        (pod.name.as_str(), pod.is_as_it_should_be, pod.was_sized),
        ("agent-x7k2p", false, true)
    );
    let told = serde_json::to_value(&pod.containers[0]).unwrap();
    assert_eq!(told["request"], json!({ "now": "196m", "should": "392m" }));
    assert_eq!(explained("apps/agent", "small").pod, None);
}

#[test]
fn a_namespace_that_is_left_out_is_told_with_the_command() {
    let mut seen = cluster();
    seen.annotate(("kube-system", "network"), "default");
    let explanation = explain(&seen, &asked("kube-system/network", "small")).unwrap();
    assert_eq!((explanation.verdict, explanation.patch), ("excluded", None));
    assert!(
        explanation
            .reason
            .unwrap()
            .contains("kubectl label namespace kube-system")
    );
    assert!(!explanation.resources.is_empty(), "what it would be");
}

#[test]
fn a_template_that_is_not_there_is_the_reason() {
    let mut seen = cluster();
    seen.annotate(("apps", "agent"), "gone");
    let explanation = explain(&seen, &asked("apps/agent", "small")).unwrap();
    assert_eq!(explanation.verdict, "left");
    assert!(
        explanation
            .reason
            .unwrap()
            .contains("there is no FlexDaemonsetTemplate gone")
    );
    assert_eq!((explanation.patch, explanation.share), (None, None));
}

#[test]
fn a_mistake_is_answered_with_what_was_meant() {
    for (name, node, says) in [
        ("apps/agnt", "small", "did you mean apps/agent?"),
        ("apps/agent", "smal", "did you mean small?"),
        (
            "kube-system/network",
            "small",
            "kubectl annotate daemonset network -n kube-system flexdaemonsets.xai/resource-template=default|logs",
        ),
    ] {
        let mistake = explain(&cluster(), &asked(name, node))
            .unwrap_err()
            .to_string();
        assert!(mistake.contains(says), "{mistake}");
    }
}
