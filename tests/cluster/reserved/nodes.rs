//! What an agent may say about nodes, whatever its role allows.

use super::{AGENT, is_denied, say};
use crate::world::World;

const CLAIM: &str = "--as-user-extra=authentication.kubernetes.io/node-name=node1";
const TAINT: &str = r#"--type=merge -p {"spec":{"taints":[{"key":"holdfast.dev/unfit","effect":"PreferNoSchedule"}]}}"#;
const FIT: &str = r#"--subresource=status --type=strategic -p {"status":{"conditions":[{"type":"HoldfastReady","status":"False"}]}}"#;

/// What else may be written of a node, and which rule says no.
const NOT_ITS: [(&str, &str); 7] = [
    ("label node node1 mine=x", "no label of its node but"),
    (
        "annotate node node1 mine=x",
        "no annotations of its node but",
    ),
    (
        r#"patch node node1 --type=merge -p {"spec":{"unschedulable":true}}"#,
        "nothing of how its node is used but",
    ),
    (
        r#"patch node node1 --type=merge -p {"spec":{"taints":[{"key":"mine","effect":"NoExecute"}]}}"#,
        "nothing of how its node is used but",
    ),
    (
        r#"patch node node1 --subresource=status --type=strategic -p {"status":{"conditions":[{"type":"Ready","status":"False"}]}}"#,
        "no condition of its node but",
    ),
    (
        r#"patch node node1 --subresource=status --type=merge -p {"status":{"capacity":{"example.com/x":"9"}}}"#,
        "nothing else of its status",
    ),
    (
        r#"patch node node1 --subresource=status --type=merge -p {"metadata":{"labels":{"mine":"x"}}}"#,
        "no label of its node but",
    ),
];

/// Its label, annotations, taint and condition on its own node, and nothing else.
pub(super) fn are_described_by_their_own_agents(world: &World) {
    let own = format!("{AGENT} {CLAIM}");
    says_what_is_its(world, &own);
    for (line, says) in NOT_ITS {
        is_denied(say(world, &format!("{line} {own}")), says);
    }
    for what in [TAINT, FIT] {
        let line = format!("patch node node2 {what} {own}");
        is_denied(say(world, &line), "about its own node alone");
        let line = format!("patch node node1 {what} {AGENT}");
        is_denied(say(world, &line), "about its own node alone");
    }
}

fn says_what_is_its(world: &World, own: &str) {
    let mine = [
        "label node node1 holdfast.dev/runtime=installed --overwrite",
        "annotate node node1 node.holdfast.dev/x=y --overwrite",
        &format!("patch node node1 {TAINT}"),
        &format!("patch node node1 {FIT}"),
    ];
    for line in mine {
        say(world, &format!("{line} {own}")).unwrap();
    }
    let said = world.kubectl(
        "get node node1 -o jsonpath={.metadata.labels}{.spec.taints}{.status.conditions[*].type}",
    );
    for what in [
        "holdfast.dev/runtime",
        "holdfast.dev/unfit",
        "HoldfastReady",
    ] {
        assert!(said.contains(what), "{said}");
    }
    for line in [
        "label node node1 holdfast.dev/runtime-",
        "annotate node node1 node.holdfast.dev/x-",
        r#"patch node node1 --type=merge -p {"spec":{"taints":null}}"#,
        r#"patch node node1 --subresource=status --type=strategic -p {"status":{"conditions":[{"type":"HoldfastReady","$patch":"delete"}]}}"#,
    ] {
        say(world, &format!("{line} {own}")).unwrap();
    }
}
