//! What is not ours passes: exit code, output, log and what becomes of containers are those of the real runtime, whatever is said to it.

use crate::fixture::{Did, Node, Outputs, Started, eventually, run};
use crate::lab::{CRUN, OLD_RUNC, RUNC, lab};
use serde_json::json;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

const GLOBALS: [&str; 14] = [
    "",
    "",
    "--log LOG",
    "--log=LOG --log-format json",
    "--log-format=json",
    "--log-format bogus",
    "--log /no/such/folder/log",
    "--debug --log LOG",
    "--rootless false",
    "--systemd-cgroup=false",
    "--criu /usr/sbin/criu",
    "--nonsense",
    "--nonsense=1 --log LOG",
    "-log LOG -log-format json",
];

const VERBS: [&str; 58] = [
    "state c1",
    "state nope",
    "state",
    "state c1 c2",
    "state --nonsense c1",
    "state ODD",
    "exec c1 /bin/busybox true",
    "exec c1 /bin/busybox sh -c EXIT7",
    "exec --env A=b --cwd /w c1 /bin/busybox pwd",
    "exec -e A=b c1 /bin/busybox sh -c SHOW",
    "exec c1 /bin/busybox ls --force /w",
    "exec c1 /no/such/program",
    "exec c1",
    "exec nope true",
    "exec --cwd",
    "exec --nonsense c1 /bin/busybox true",
    "exec --user 1:2 c1 /bin/busybox id -u",
    "kill c1 BOGUS",
    "kill nope KILL",
    "kill nope",
    "kill",
    "kill c1 --all CONT",
    "kill -a c1 CONT",
    "kill c1 SIGCONT",
    "kill c1 18",
    "kill c1 CONT more",
    "delete nope",
    "delete --force nope",
    "delete -f nope",
    "delete c1",
    "delete",
    "delete --force=maybe c1",
    "start c1",
    "start nope",
    "start",
    "pause c1",
    "pause nope",
    "resume c1",
    "resume c1",
    "ps c1",
    "ps --format json nope",
    "list",
    "list -q",
    "list --format json",
    "update --cpu-share 512 c1",
    "update --cpu-share 512 nope",
    "update --cpu-share many c1",
    "create --bundle /no/such c2",
    "create --bundle BUNDLE c1",
    "create --bundle",
    "create",
    "run --bundle /no/such c2",
    "checkpoint nope",
    "restore --bundle /no/such nope",
    "frobnicate c1",
    "create --help",
    "--help",
    "--version",
];

/// A generator that is good enough to shuffle with, and can be asked for the same again.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
}

/// A node with a container that runs.
fn node(real: &'static str) -> Node {
    let node = Node::new(real);
    node.make_bundle(
        "c1",
        "echo up > /w/up; exec /bin/busybox sleep 1000",
        |_| {},
    );
    let bundle = node.bundle("c1");
    run(&mut node.real_verb(&["create", "--bundle", bundle.to_str().unwrap(), "c1"])).well();
    run(&mut node.real_verb(&["start", "c1"])).well();
    eventually("it runs", || node.witness("up") == "up\n");
    node
}

fn words(node: &Node, line: &str) -> Vec<OsString> {
    let word = |word: &str| match word {
        "LOG" => node.path("log").into(),
        "BUNDLE" => node.bundle("c1").into(),
        "--log=LOG" => format!("--log={}", node.path("log").display()).into(),
        "ODD" => OsStr::from_bytes(b"c\xff\xfe").to_owned(),
        "EXIT7" => "exit 7".into(),
        "SHOW" => "echo $A; echo error >&2; exit 3".into(),
        word => word.into(),
    };
    line.split_whitespace().map(word).collect()
}

/// Runs a program under the name that containerd would give it.
fn named(program: &Command) -> Command {
    let mut command = lab().command("bash");
    command.args(["-c", "exec -a runtime \"$0\" \"$@\""]);
    // The program stands behind the words that lead into the lab.
    command.args(program.get_args().skip(4));
    command
}

/// What was done, without what differs from time to time: numbers, columns, and where the node's folder is.
fn seen(node: &Node, did: &Did) -> [String; 4] {
    let log = std::fs::read(node.path("log")).unwrap_or_default();
    let code = format!("{:?} {:?}", did.status.code(), did.status.signal());
    [
        code,
        did.out.clone(),
        did.err.clone(),
        String::from_utf8_lossy(&log).into_owned(),
    ]
    .map(|text| {
        let text = text.replace(node.folder.to_str().unwrap(), "NODE");
        let mut plain = String::new();
        for c in text.chars() {
            match c {
                '0'..='9' if plain.ends_with('N') => {}
                '0'..='9' => plain.push('N'),
                // Columns are as wide as what stands in them.
                ' ' if plain.ends_with(' ') => {}
                c => plain.push(c),
            }
        }
        plain
    })
}

fn alike(real: &'static str, is_of_a_pod: bool) {
    let (ours, theirs) = (node(real), node(real));
    if is_of_a_pod {
        let place = json!({
            "id": "c1", "root": ours.path("state"), "bundle": ours.bundle("c1"), "namespace": "shop", "pod": "cart-0",
            "uid": "11-22", "container": "app", "sandbox": false, "expects": null,
        });
        std::fs::create_dir_all(ours.path("run/containers")).unwrap();
        std::fs::write(ours.path("run/containers/c1"), place.to_string()).unwrap();
    }
    let seed = std::env::var("HOLDFAST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(u64::from(std::process::id()) * 2_654_435_761 + 1);
    println!("HOLDFAST_SEED={seed}");
    let mut dice = Dice(seed);
    let drawn = (0..60)
        .map(|_| VERBS[dice.throw(VERBS.len())])
        .collect::<Vec<_>>();
    for verb in VERBS.into_iter().chain(drawn) {
        let globals = GLOBALS[dice.throw(GLOBALS.len())];
        let did = [&ours, &theirs].map(|node| {
            std::fs::remove_file(node.path("log")).ok();
            let mut arguments: Vec<OsString> = node.globals().into_iter().map(Into::into).collect();
            arguments.extend(words(node, globals));
            arguments.extend(words(node, verb));
            let command = if std::ptr::eq(node, &raw const ours) {
                node.ours(&arguments)
            } else {
                node.real(&arguments)
            };
            let did = run(&mut named(&command));
            seen(node, &did)
        });
        // What is logged for debugging differs from run to run.
        let parts = if globals.contains("--debug") { 2 } else { 4 };
        assert_eq!(did[0][..parts], did[1][..parts], "{real}: {globals} {verb}");
    }
}

#[test]
fn runc_is_the_same_with_us_before_it() {
    alike(RUNC, false);
}

#[test]
fn runc_is_the_same_for_a_pods_container_that_nobody_holds() {
    alike(RUNC, true);
}

#[test]
fn the_old_runc_is_the_same_with_us_before_it() {
    alike(OLD_RUNC, false);
}

#[test]
fn crun_is_the_same_with_us_before_it() {
    alike(CRUN, true);
}

#[test]
fn the_real_runtime_takes_our_place() {
    let node = node(RUNC);
    let exec = ["exec", "c1", "/bin/busybox", "sleep", "1000"];
    let mut started = Started::of(&mut node.verb(&exec));
    let pid = started.0.id();
    eventually("the real runtime is at work", || {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        threads.count() > 1
    });
    let memory = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    assert!(!memory.contains("holdfast"), "{memory}");
    started.0.kill().unwrap();
    assert_eq!(started.end().signal(), Some(9));
}

#[test]
fn a_signal_ends_us_while_we_wait() {
    let node = Node::new(RUNC);
    node.make_pod_bundle("c1", "true");
    let mut create = Started::of(&mut node.create("c1"));
    eventually("its place is known", || {
        node.path("run/containers/c1").exists()
    });
    let pid = rustix::process::Pid::from_raw(create.0.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(create.end().signal(), Some(15));
}

#[test]
fn without_settings_the_usual_runtime_is_found() {
    let node = Node::new(RUNC);
    std::fs::remove_file(node.path("runtime.json")).unwrap();
    let did = run(&mut node.ours(&["--version"])).well();
    assert!(did.out.starts_with("runc version 1.4"), "{did:?}");
    let own = run(&mut node.ours(&["--holdfast-version"])).well();
    assert_eq!(
        own.out,
        concat!("holdfast-runtime ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn settings_that_cannot_be_read_are_said_and_nothing_is_run() {
    let node = Node::new(RUNC);
    std::fs::write(node.path("runtime.json"), "{").unwrap();
    let log = node.path("log");
    let arguments = [
        "--log",
        log.to_str().unwrap(),
        "--log-format",
        "json",
        "state",
        "c1",
    ];
    run(&mut node.ours(&arguments)).badly("runtime.json");
    assert!(
        std::fs::read_to_string(log)
            .unwrap()
            .contains("runtime.json")
    );
    std::fs::write(
        node.path("runtime.json"),
        json!({"real": "/no/such/runc"}).to_string(),
    )
    .unwrap();
    run(&mut node.ours(&["state", "c1"])).badly("/no/such/runc");
}

#[test]
fn a_container_that_is_not_ours_costs_one_failed_open() {
    let node = Node::new(RUNC);
    let trace = node.path("trace");
    let outputs = Outputs::new();
    // Outside of the lab there is no real runtime: what is seen is what we do before it.
    let status = Command::new("strace")
        .args(["-e", "trace=file,network", "-o"])
        .arg(&trace)
        .arg(node.path("bin/holdfast-runtime"))
        .args(["exec", "c1", "true"])
        .stdin(Stdio::null())
        .stdout(outputs.file("out"))
        .stderr(outputs.file("err"))
        .status();
    outputs.did(status.unwrap());
    let trace = std::fs::read_to_string(trace).unwrap();
    let own = format!("{}/", node.path("run").display());
    let looks: Vec<_> = trace.lines().filter(|line| line.contains(&own)).collect();
    assert_eq!(looks.len(), 1, "{looks:?}");
    assert!(looks[0].contains("ENOENT"), "{looks:?}");
}
