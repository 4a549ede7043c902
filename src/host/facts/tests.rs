use super::*;

fn good() -> Seen {
    Seen {
        engine: Ok("containerd v2.2.3".into()),
        handler: Some(true),
        prefix: Some("/opt/holdfast".into()),
        runtime: Ok("runc 1.4.0".into()),
        criu: Ok("CRIU 4.2.1".into()),
        criu_check: Some(Ok(())),
        criu_options: vec![("/etc/criu/runc.conf", vec!["tcp-close".into()])],
        architecture: "x86_64".into(),
        kernel: "6.12.1".into(),
        kernel_config: Some(BTreeMap::from([(
            "CONFIG_MEM_SOFT_DIRTY".into(),
            "y".into(),
        )])),
        cpu_flags: vec!["sse".into(), "avx".into()],
        shown: vec![RESTORE, TIME, FAULT, SECCOMP],
        pipe_max: Some(1 << 20),
        ptrace_scope: Some(1),
        request_timeout: Some("10m".into()),
        damage: Vec::new(),
        is_cgroup_v2: false,
        is_systemd: None,
    }
}

fn verdict_of<'a>(facts: &'a [Fact], name: &str) -> &'a Fact {
    facts.iter().find(|fact| fact.name == name).unwrap()
}

type Spoil = fn(&mut Seen);

const SPOILT: [(Spoil, &str, Verdict); 16] = [
    (|s| s.engine = Err("no".into()), "engine", Verdict::Bad),
    (|s| s.handler = Some(false), "handler", Verdict::Bad),
    (|s| s.handler = None, "handler", Verdict::Note),
    (|s| s.prefix = None, "installed", Verdict::Bad),
    (
        |s| s.damage = vec!["x is gone".into()],
        "installed",
        Verdict::Bad,
    ),
    (
        |s| s.runtime = Err("too old".into()),
        "runtime",
        Verdict::Bad,
    ),
    (|s| s.criu = Err("too old".into()), "criu", Verdict::Bad),
    (
        |s| s.criu_check = Some(Err("no".into())),
        "criu check",
        Verdict::Bad,
    ),
    (
        |s| s.criu_options = vec![("/etc/criu/default.conf", vec!["tcp-established".into()])],
        "criu options",
        Verdict::Note,
    ),
    (
        |s| s.shown.retain(|name| *name != RESTORE),
        RESTORE,
        Verdict::Bad,
    ),
    (|s| s.shown.retain(|name| *name != TIME), TIME, Verdict::Bad),
    (
        |s| s.shown.retain(|name| *name != FAULT),
        FAULT,
        Verdict::Note,
    ),
    (
        |s| s.kernel_config = None,
        "CONFIG_MEM_SOFT_DIRTY",
        Verdict::Note,
    ),
    (
        |s| s.pipe_max = Some(4096),
        "fs.pipe-max-size",
        Verdict::Note,
    ),
    (
        |s| s.ptrace_scope = Some(3),
        "kernel.yama.ptrace_scope",
        Verdict::Bad,
    ),
    (
        |s| s.request_timeout = None,
        "runtimeRequestTimeout",
        Verdict::Note,
    ),
];

#[test]
fn a_node_that_is_as_it_should_be_has_nothing_to_say() {
    let facts = judge(&good());
    assert!(
        facts
            .iter()
            .all(|fact| fact.verdict == Verdict::Fine && fact.says.is_empty()),
        "{facts:?}"
    );
}

#[test]
fn each_thing_that_is_wrong_is_said_with_its_cure() {
    for (spoil, name, verdict) in SPOILT {
        let mut seen = good();
        spoil(&mut seen);
        let facts = judge(&seen);
        let fact = verdict_of(&facts, name);
        assert!(fact.verdict == verdict && !fact.says.is_empty(), "{fact:?}");
        assert_eq!(is_fine(&facts), verdict != Verdict::Bad, "{name}");
    }
}

#[test]
fn processors_with_the_same_flags_are_equal_whatever_their_order() {
    let mut turned = good();
    turned.cpu_flags = vec!["avx".into(), "sse".into(), "avx".into()];
    assert_eq!(
        verdict_of(&judge(&turned), "cpu"),
        verdict_of(&judge(&good()), "cpu")
    );
    turned.cpu_flags.push("avx512f".into());
    assert_ne!(
        verdict_of(&judge(&turned), "cpu"),
        verdict_of(&judge(&good()), "cpu")
    );
}

#[test]
fn the_node_is_told_what_others_must_know() {
    let told = annotations(&judge(&good()));
    assert_eq!(told["node.holdfast.dev/criu-check"], "ok");
    assert_eq!(told["node.holdfast.dev/cgroup"], "v1");
    assert_eq!(told["node.holdfast.dev/request-timeout"], "10m");
    let mut unknown = good();
    unknown.request_timeout = None;
    assert_eq!(
        annotations(&judge(&unknown))["node.holdfast.dev/request-timeout"],
        "2m"
    );
    assert_eq!(told.len(), 8);
}
