//! What the runtime on a node must not need: it starts in a millisecond or two, hundreds of times.

use crate::source::{code, module_of, sources};

const TOO_HEAVY: [&str; 7] = [
    "async",
    "tokio",
    "kube",
    "hyper",
    "tracing",
    "clap",
    "k8s_openapi",
];

fn too_heavy(source: &str) -> Vec<&'static str> {
    let code = code(source);
    let all: Vec<_> = code
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .collect();
    TOO_HEAVY
        .into_iter()
        .filter(|name| all.contains(name))
        .collect()
}

#[test]
fn the_runtime_on_a_node_is_light() {
    for (path, source) in sources() {
        if ["oci", "runtime", "hold"].contains(&module_of(&path).as_str())
            || path.ends_with("bin/holdfast-runtime.rs")
        {
            assert_eq!(too_heavy(&source), Vec::<&str>::new(), "{}", path.display());
        }
    }
}

#[test]
fn planted_weights_are_seen() {
    assert_eq!(too_heavy("use tokio::net::UnixStream;"), ["tokio"]);
    assert_eq!(too_heavy("pub(super) async fn run() {}"), ["async"]);
    assert_eq!(too_heavy("// tokio would be too much"), Vec::<&str>::new());
}
