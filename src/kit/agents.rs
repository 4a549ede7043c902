//! How agents of nodes are called by each other: a node's name, as a name of DNS. Whoever shows a certificate with it is that node's.

/// Who signs an agent's certificate, as Kubernetes names it.
pub const SIGNER: &str = "holdfast.dev/agent";

/// What follows a node's name.
const SUFFIX: &str = ".agents.holdfast.dev";

/// DNS has no longer names, and no longer parts of one.
const LONGEST: usize = 253;
const LONGEST_PART: usize = 63;

/// What the agent of a node is called.
///
/// # Errors
/// A sentence: no agent can be called so. No name has a wildcard in it.
pub fn name_of(node: &str) -> Result<String, String> {
    let name = format!("{node}{SUFFIX}");
    if name.len() > LONGEST {
        let most = LONGEST.saturating_sub(SUFFIX.len());
        return Err(format!(
            "node name {node:?} is too long: of more than {most} letters no certificate can be made"
        ));
    }
    if node.split('.').all(is_part) {
        return Ok(name);
    }
    Err(format!(
        "node name {node:?} is no name of DNS: each of its parts has up to {LONGEST_PART} of a-z, 0-9 and -, and none at its ends"
    ))
}

/// Whose agent is called so.
#[must_use]
pub fn node_of(name: &str) -> Option<&str> {
    let node = name.strip_suffix(SUFFIX)?;
    name_of(node).is_ok().then_some(node)
}

fn is_part(part: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let has_ends = !part.starts_with('-') && !part.ends_with('-');
    (1..=LONGEST_PART).contains(&part.len()) && has_ends && part.chars().all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_and_its_agent_know_each_others_names() {
        for node in ["n1", "ip-10-0-0-1.eu-west-1.compute.internal"] {
            assert_eq!(node_of(&name_of(node).unwrap()), Some(node));
        }
        assert_eq!(name_of("n1").unwrap(), "n1.agents.holdfast.dev");
    }

    #[test]
    fn what_no_node_is_called_has_no_name() {
        let long = [
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(63),
        ]
        .join(".");
        for node in [
            "", "*", "*.a", "a..b", "-a", "a-", "A", "a_b", "a b", "é", &long,
        ] {
            assert!(name_of(node).is_err(), "{node:?}");
        }
        for name in [
            "n1",
            "n1.agents.holdfast.dev.evil",
            ".agents.holdfast.dev",
            "*.agents.holdfast.dev",
        ] {
            assert_eq!(node_of(name), None, "{name}");
        }
    }
}
