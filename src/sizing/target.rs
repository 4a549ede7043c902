//! For which node a pod is meant that is not bound yet: the DaemonSet controller writes it into the required node affinity. Pure.

/// Why a pod's node is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoNode {
    /// Nothing names one.
    Unnamed,
    /// More than one is possible.
    Several,
}

/// A requirement on a node's fields: key, operator, values.
pub(crate) type Field<'a, V> = (&'a str, &'a str, &'a [V]);

/// The one node that every term of a required affinity names in its `matchFields`. Node names are not labels: only the field counts.
///
/// # Errors
/// There is no such node.
pub(crate) fn only_node<'a, V: AsRef<str> + 'a>(
    terms: impl IntoIterator<Item = impl IntoIterator<Item = Field<'a, V>>>,
) -> Result<&'a str, NoNode> {
    let mut named = None;
    for term in terms {
        let name = node_of_term(term)?;
        if named.is_some_and(|named| named != name) {
            return Err(NoNode::Several);
        }
        named = Some(name);
    }
    named.ok_or(NoNode::Unnamed)
}

fn node_of_term<'a, V: AsRef<str> + 'a>(
    fields: impl IntoIterator<Item = Field<'a, V>>,
) -> Result<&'a str, NoNode> {
    let mut named = None;
    for (key, operator, values) in fields {
        if key != "metadata.name" || operator != "In" {
            continue;
        }
        match values {
            [one] if named.is_none_or(|named| named == one.as_ref()) => named = Some(one.as_ref()),
            [] => {}
            _ => return Err(NoNode::Several),
        }
    }
    named.ok_or(NoNode::Unnamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "metadata.name";

    #[test]
    fn only_one_name_in_every_term_is_a_target() {
        let (n, m, both): ([&str; 1], [&str; 1], [&str; 2]) = (["n"], ["m"], ["n", "m"]);
        let cases: [(&[&[Field<&str>]], _); 8] = [
            (&[&[(NAME, "In", &n)]], Ok("n")),
            (&[&[(NAME, "In", &n)], &[(NAME, "In", &n)]], Ok("n")),
            (
                &[&[(NAME, "In", &n)], &[(NAME, "In", &m)]],
                Err(NoNode::Several),
            ),
            (&[&[(NAME, "In", &both)]], Err(NoNode::Several)),
            (
                &[&[(NAME, "In", &n), (NAME, "In", &m)]],
                Err(NoNode::Several),
            ),
            (&[&[(NAME, "NotIn", &n)]], Err(NoNode::Unnamed)),
            (&[&[("metadata.namespace", "In", &n)]], Err(NoNode::Unnamed)),
            (&[], Err(NoNode::Unnamed)),
        ];
        for (terms, node) in cases {
            let read = only_node(terms.iter().map(|term| term.iter().copied()));
            assert_eq!(read, node, "{terms:?}");
        }
    }

    #[test]
    fn a_term_without_a_name_leaves_it_open() {
        let terms: [&[Field<&str>]; 2] = [&[(NAME, "In", &["n"])], &[]];
        let read = only_node(terms.iter().map(|term| term.iter().copied()));
        assert_eq!(read, Err(NoNode::Unnamed));
    }
}
