//! What an agent may say about nodes, whatever its role allows.

use super::{AGENT, is_denied, say};
use crate::world::World;

const CLAIM: &str = "--as-user-extra=authentication.kubernetes.io/node-name";

/// Its label, annotations, taint and condition on its own node, and nothing else.
pub(super) fn are_described_by_their_own_agents(world: &World) {
    let own = format!("{AGENT} {CLAIM}=node1");
    let taint = r#"--type=merge -p {"spec":{"taints":[{"key":"holdfast.dev/unfit","effect":"PreferNoSchedule"}]}}"#;
    let fit = r#"--subresource=status --type=strategic -p {"status":{"conditions":[{"type":"HoldfastReady","status":"False"}]}}"#;
    let mine = [
        "label node node1 holdfast.dev/runtime=installed --overwrite",
        "annotate node node1 node.holdfast.dev/x=y --overwrite",
        &format!("patch node node1 {taint}"),
        &format!("patch node node1 {fit}"),
    ];
    for line in mine {
        say(world, &format!("{line} {own}")).unwrap();
    }
    for line in [
        "label node node1 holdfast.dev/runtime-",
        "annotate node node1 node.holdfast.dev/x-",
        r#"patch node node1 --type=merge -p {"spec":{"taints":null}}"#,
        r#"patch node node1 --subresource=status --type=strategic -p {"status":{"conditions":[{"type":"HoldfastReady","$patch":"delete"}]}}"#,
    ] {
        say(world, &format!("{line} {own}")).unwrap();
    }
    for (line, says) in [
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
    ] {
        is_denied(say(world, &format!("{line} {own}")), says);
    }
    for what in [taint, fit] {
        let line = format!("patch node node2 {what} {own}");
        is_denied(say(world, &line), "about its own node alone");
        let line = format!("patch node node1 {what} {AGENT}");
        is_denied(say(world, &line), "about its own node alone");
    }
}
