use super::*;
use crate::kit::documents::documents;

fn of(text: &str) -> Report {
    lint(&[Source {
        file: "f.yaml".into(),
        documents: documents(text),
    }])
}

/// The one thing that is said.
fn only(findings: Vec<Finding>) -> Finding {
    let Ok([found]) = <[Finding; 1]>::try_from(findings.clone()) else {
        panic!("{findings:?}")
    };
    found
}

/// That this is said of the field, as an error.
fn assert_is_told(found: &Finding, field: &str, says: &str) {
    let told = (found.severity, &*found.field);
    assert_eq!(told, (Severity::Error, field), "{found:?}");
    assert!(found.message.contains(says), "{found:?}");
}

/// What is said of a template with this specification.
fn template(spec: &str) -> Vec<Finding> {
    let head = "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {name: t}\n";
    of(&format!("{head}spec: {spec}\n")).findings
}

fn daemonset(name: &str, annotation: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: {name}, annotations: {{flexdaemonsets.xai/resource-template: {annotation}}}}}\nspec: {{template: {{spec: {{containers: [{{name: c}}]{rest}}}}}}}\n"
    )
}

fn shares(name: &str, percent: u32) -> String {
    format!(
        "---\napiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {{name: {name}}}\nspec: {{cpuPercentage: {percent}}}\n"
    )
}

/// A specification, the field that is wrong in it, and what is said of it.
const MISTAKES: [(&str, &str, &str); 16] = [
    (
        "{cpuPercent: 10}",
        "spec.cpuPercent",
        "did you mean cpuPercentage?",
    ),
    ("{mincpu: 10m}", "spec.mincpu", "did you mean minCPU?"),
    (
        "{cpuPercentage: 0}",
        "spec.cpuPercentage",
        "0 is not from 1 to 100",
    ),
    ("{cpuPercentage: 10%}", "spec.cpuPercentage", "write 10"),
    ("{cpuPercentage: 9.5}", "spec.cpuPercentage", "whole number"),
    (
        "{cpuPercentage: 9, minCPU: 1}",
        "spec.minCPU",
        "put it into quotes, \"1\"",
    ),
    ("{cpuPercentage: 9, minCPU: lots}", "spec.minCPU", "lots"),
    (
        "{cpuPercentage: 9, maxCPU: '0'}",
        "spec.maxCPU",
        "leave out cpuPercentage instead",
    ),
    (
        "{cpuPercentage: 9, base: Capacity}",
        "spec.base",
        "none of Allocatable, AllocatableMinusDaemonSets",
    ),
    (
        "{cpuPercentage: 9, limits: {cpu: Half}}",
        "spec.limits",
        "Equal, None or a percentage",
    ),
    (
        "{cpuPercentage: 9, containers: {name: c}}",
        "spec.containers",
        "must be a list",
    ),
    (
        "{cpuPercentage: 9, containers: [{weight: 1}]}",
        "spec.containers[0]",
        "name is missing",
    ),
    (
        "{cpuPercentage: 9, containers: [{name: c, exclude: 'yes'}]}",
        "spec.containers[0].exclude",
        "true or false",
    ),
    (
        "{cpuPercentage: 9, containers: [{name: c}, {name: c}]}",
        "spec.containers[1].name",
        "is there before",
    ),
    (
        "{cpuPercentage: 9, nodeOverrides: [{nodeSelector: {matchLabel: {a: b}}}]}",
        "spec.nodeOverrides[0].nodeSelector.matchLabel",
        "did you mean matchLabels",
    ),
    (
        "{cpuPercentage: 9, wave: [1]}",
        "spec.wave",
        "whole number or a text",
    ),
];

#[test]
fn a_mistake_is_told_with_its_field() {
    for (spec, field, says) in MISTAKES {
        assert_is_told(&only(template(spec)), field, says);
    }
}

#[test]
fn what_does_nothing_is_a_warning() {
    let found = only(template("{cpuPercentage: 10, minMemory: 64Mi}"));
    assert_eq!(
        (found.severity, &*found.field),
        (Severity::Warning, "spec.minMemory")
    );
    assert_eq!(
        template("{cpuPercentage: 10, memoryPercentage: 1, minMemory: 64Mi}"),
        []
    );
}

#[test]
fn a_field_of_every_kind_that_the_schema_knows_is_fine() {
    let all = "{cpuPercentage: 10, memoryPercentage: 10, storagePercentage: 10, minCPU: 10m, maxCPU: '1', base: AllocatableMinusDaemonSets, limits: {cpu: None, memory: 150%}, containers: [{name: a, weight: 2}, {name: b, fixed: {cpu: 10m}}, {name: c, exclude: true}], nodeOverrides: [{nodeSelector: {matchLabels: {a: b}, matchExpressions: [{key: x, operator: Exists}]}, cpuPercentage: 3}], onChange: Keep, repair: Recreate, wave: 3, overcommit: Scale}";
    assert_eq!(template(all), []);
}

#[test]
fn a_kind_or_version_that_does_not_exist_is_a_mistake() {
    for (text, field, says) in [
        (
            "apiVersion: flexdaemonsets.xai/v1\nkind: FlexDaemonsetTemplate\nmetadata: {name: t}\nspec: {cpuPercentage: 1}",
            "apiVersion",
            "write flexdaemonsets.xai/v1alpha1",
        ),
        (
            "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonSetTemplates\nmetadata: {name: t}",
            "kind",
            "did you mean FlexDaemonsetTemplate?",
        ),
        (
            "kind: FlexDaemonsetTemplates\nmetadata: {name: t}",
            "kind",
            "did you mean FlexDaemonsetTemplate?",
        ),
        (
            "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {}\nspec: {cpuPercentage: 1}",
            "metadata.name",
            "no name",
        ),
        (
            "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {name: My_Template}\nspec: {cpuPercentage: 1}",
            "metadata.name",
            "is no name",
        ),
        (
            "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {name: t, labels: {a: 1}}\nspec: {cpuPercentage: 1}",
            "metadata.labels.a",
            "put it into quotes",
        ),
        (
            "apiVersion: flexdaemonsets.xai/v1alpha1\nkind: FlexDaemonsetTemplate\nmetadata: {name: t}\nspec: {cpuPercentage: 1}\nmemoryPercentage: 2",
            "memoryPercentage",
            "belongs below spec",
        ),
        (
            "apiVersion: extensions/v1beta1\nkind: DaemonSet\nmetadata: {name: d}",
            "apiVersion",
            "write apps/v1",
        ),
        ("just: a map", "", "it has no kind"),
        ("a: [", "", "no YAML"),
    ] {
        assert_is_told(&only(of(text).findings), field, says);
    }
    let other = of("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}");
    assert_eq!((other.findings.len(), other.ignored), (0, 1));
    let foreign = of("apiVersion: other.io/v1\nkind: FlexTemplate\nmetadata: {name: c}");
    assert_eq!(foreign.findings, []);
}

#[test]
fn a_daemonset_whose_template_is_elsewhere_is_only_noted() {
    let report = of(&daemonset("d", "elsewhere", ""));
    let found = only(report.findings);
    assert_eq!(found.severity, Severity::Note);
    assert!(
        found
            .message
            .contains("FlexDaemonsetTemplate elsewhere is not in these files")
    );
    assert_eq!(found.line, Some(4));
}

#[test]
fn percentages_over_a_hundred_are_told_for_daemonsets_that_are_everywhere() {
    let two = shares("a", 60) + &shares("b", 41);
    let everywhere = two.clone() + &daemonset("one", "a", "") + &daemonset("two", "b", "");
    let report = of(&everywhere);
    let found = only(report.findings);
    assert!(
        found.severity == Severity::Warning
            && found
                .message
                .contains("101 %: default/one 60 %, default/two 41 %"),
        "{found:?}"
    );
    let left_out =
        daemonset("two", "b", "").replace("{name: two,", "{name: two, namespace: kube-system,");
    let found = only(of(&(two.clone() + &daemonset("one", "a", "") + &left_out)).findings);
    assert!(found.message.contains("kubectl label"), "{found:?}");
    let apart =
        two + &daemonset("one", "a", "") + &daemonset("two", "b", ", nodeSelector: {pool: gpu}");
    assert_eq!(of(&apart).findings, []);
}

#[test]
fn a_namespace_that_is_left_out_is_told_unless_the_files_say_otherwise() {
    let text = shares("a", 1)
        + &daemonset("d", "a", "").replace("{name: d,", "{name: d, namespace: kube-system,");
    let report = of(&text);
    let found = only(report.findings);
    assert!(
        found
            .message
            .contains("kubectl label namespace kube-system"),
        "{found:?}"
    );
    let label = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system, labels: {holdfast.dev/sizing: enabled}}\n";
    assert_eq!(of(&(text + label)).findings, []);
}

#[test]
fn a_name_that_is_there_twice_is_told_with_its_other_place() {
    let report = of(&(shares("a", 1) + &shares("a", 2)));
    let found = only(report.findings);
    assert!(
        found.severity == Severity::Warning && found.message.contains("f.yaml:3"),
        "{found:?}"
    );
}

#[test]
fn an_annotation_that_nobody_reads_is_told() {
    let text = daemonset("d", "a", "").replace("resource-template:", "resource-tempalte:");
    let report = of(&text);
    let found = only(report.findings);
    assert!(
        found
            .message
            .contains("did you mean flexdaemonsets.xai/resource-template?"),
        "{found:?}"
    );
}

#[test]
fn resources_of_pods_as_a_whole_are_told_where_they_say_something() {
    let with = |whole: &str| {
        let text = shares("a", 1) + &daemonset("d", "a", &format!(", resources: {whole}"));
        of(&text).findings
    };
    let found = only(with("{limits: {cpu: 1}}"));
    assert!(
        found.severity == Severity::Warning && found.message.contains("as a whole"),
        "{found:?}"
    );
    assert_eq!(with("{}"), []);
    assert_eq!(with("{requests: {}, limits: null}"), []);
}
