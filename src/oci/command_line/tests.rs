use super::*;
use proptest::prelude::*;

fn owned(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn words(line: &str) -> Vec<OsString> {
    owned(&line.split_whitespace().collect::<Vec<_>>())
}

fn id_and_signal(line: &str, dialect: Dialect) -> (Option<String>, Option<String>) {
    let words = words(line);
    let read = CommandLine::parse(&words, dialect);
    let text = |at: usize| {
        let operand = read.operands().get(at);
        operand.map(|operand| operand.to_string_lossy().into_owned())
    };
    (text(0), text(1))
}

#[test]
fn reads_what_containerd_says() {
    let words = words(
        "--root /run/containerd/runc/k8s.io --log /b/log.json --log-format json --systemd-cgroup \
         create --bundle /b --pid-file /b/init.pid c1",
    );
    for dialect in [Dialect::Runc, Dialect::Crun] {
        let read = CommandLine::parse(&words, dialect);
        assert_eq!(read.verb(), Some(&b"create"[..]));
        assert_eq!(read.global("root").unwrap(), "/run/containerd/runc/k8s.io");
        assert_eq!(read.global("log").unwrap(), "/b/log.json");
        assert_eq!(read.global("log-format").unwrap(), "json");
        assert_eq!(read.option("bundle").unwrap(), "/b");
        assert_eq!(read.option("pid-file").unwrap(), "/b/init.pid");
        assert_eq!(read.id().unwrap(), "c1");
        assert_eq!(read.before_verb(), &words[..7]);
    }
}

#[test]
fn a_value_may_be_attached() {
    let words = words("--root=/r --debug --log= create -b=/b=c --pid-file=/p c1");
    let read = CommandLine::parse(&words, Dialect::Runc);
    assert_eq!(read.global("root").unwrap(), "/r");
    assert_eq!(read.global("log").unwrap(), "");
    assert_eq!(read.option("bundle").unwrap(), "/b=c");
    assert_eq!(read.id().unwrap(), "c1");
}

#[test]
fn one_dash_is_as_good_as_two_for_runc() {
    let words = words("-root /r -debug create -bundle /b c1");
    let read = CommandLine::parse(&words, Dialect::Runc);
    assert_eq!(read.global("root").unwrap(), "/r");
    assert_eq!(read.option("bundle").unwrap(), "/b");
    assert_eq!(read.id().unwrap(), "c1");
}

#[test]
fn the_last_of_several_counts() {
    let words = words("--root /a --root /b state c1");
    let read = CommandLine::parse(&words, Dialect::Runc);
    assert_eq!(read.global("root").unwrap(), "/b");
}

#[test]
fn runc_takes_flags_behind_operands() {
    for (line, id, signal) in [
        ("kill c1 KILL", "c1", Some("KILL")),
        ("kill --all c1 KILL", "c1", Some("KILL")),
        ("kill -a c1 9", "c1", Some("9")),
        ("kill c1 --all", "c1", None),
        // runc brings `--all KILL` forward: it would send to a container named KILL.
        ("kill c1 --all KILL", "KILL", Some("c1")),
        ("kill --all=true c1 KILL", "c1", Some("KILL")),
        ("kill -- c1 KILL", "c1", Some("KILL")),
        ("kill c1 -- -9", "c1", Some("-9")),
    ] {
        let (found, sent) = id_and_signal(line, Dialect::Runc);
        assert_eq!(found.as_deref(), Some(id), "{line}");
        assert_eq!(sent.as_deref(), signal, "{line}");
    }
}

#[test]
fn runc_leaves_the_order_of_exec_alone() {
    let words = words("exec --cwd / -e A=b c1 sh -c --tty");
    let read = CommandLine::parse(&words, Dialect::Runc);
    assert_eq!(read.operands(), ["c1", "sh", "-c", "--tty"]);
    assert!(!read.is_on("tty"));
}

#[test]
fn crun_takes_letters_together_and_names_cut_short() {
    let delete = words("delete -rf c.*");
    let read = CommandLine::parse(&delete, Dialect::Crun);
    assert!(read.is_on("force") && read.is_on("regex"));
    assert_eq!(read.id().unwrap(), "c.*");
    let create = words("--log-f json create --bun /b -f/cfg c1");
    let read = CommandLine::parse(&create, Dialect::Crun);
    assert_eq!(read.global("log-format").unwrap(), "json");
    assert_eq!(read.option("bundle").unwrap(), "/b");
    assert_eq!(read.option("config").unwrap(), "/cfg");
    assert_eq!(read.id().unwrap(), "c1");
}

#[test]
fn crun_stops_at_the_first_operand() {
    let words = words("delete c1 --force");
    let read = CommandLine::parse(&words, Dialect::Crun);
    assert!(!read.is_on("force"));
    assert_eq!(read.id().unwrap(), "c1");
}

#[test]
fn a_switch_may_be_off() {
    for (line, is_on) in [
        ("delete --force c1", true),
        ("delete -f=T c1", true),
        ("delete --force=false c1", false),
        ("delete --force=maybe c1", false),
        ("delete c1", false),
    ] {
        let words = words(line);
        let read = CommandLine::parse(&words, Dialect::Runc);
        assert_eq!(read.is_on("force"), is_on, "{line}");
    }
}

#[test]
fn questions_about_the_runtime_itself_have_no_verb() {
    for line in [
        "",
        "--version",
        "-v",
        "--help create",
        "create --help",
        "-h",
        "--root /r",
    ] {
        let words = words(line);
        assert_eq!(
            CommandLine::parse(&words, Dialect::Runc).verb(),
            None,
            "{line}"
        );
    }
}

#[test]
fn a_flag_of_tomorrow_hides_no_container() {
    for line in [
        "exec --tomorrow c1 sh",
        "exec --tomorrow value c1 sh",
        "exec --tomorrow=value c1 sh",
        "resume --tomorrow value c1",
        "create --tomorrow value --bundle /b c1",
        "create --bundle /b --tomorrow c1",
    ] {
        for dialect in [Dialect::Runc, Dialect::Crun] {
            let words = words(line);
            let read = CommandLine::parse(&words, dialect);
            assert!(read.candidates().contains(&OsStr::new("c1")), "{line}");
        }
    }
    let words = words("create --tomorrow value --bundle /b c1");
    let read = CommandLine::parse(&words, Dialect::Runc);
    assert_eq!(read.id().unwrap(), "c1");
    assert_eq!(read.option("bundle").unwrap(), "/b");
}

#[test]
fn names_need_not_be_text() {
    let odd = OsStr::from_bytes(b"c\xff1").to_owned();
    let words = vec![
        "--root".into(),
        OsStr::from_bytes(b"/r\xfe").to_owned(),
        "state".into(),
        odd.clone(),
    ];
    let read = CommandLine::parse(&words, Dialect::Runc);
    assert_eq!(read.id().unwrap(), odd);
    assert_eq!(read.global("root").unwrap().as_bytes(), b"/r\xfe");
}

#[test]
fn the_program_says_its_dialect() {
    for (program, dialect) in [
        ("/usr/bin/crun", Dialect::Crun),
        ("/usr/sbin/crun-wasm", Dialect::Crun),
        ("/usr/sbin/runc", Dialect::Runc),
        ("/opt/holdfast/bin/runc", Dialect::Runc),
    ] {
        assert_eq!(Dialect::of(Path::new(program)), dialect, "{program}");
    }
}

proptest! {
    #[test]
    fn any_words_can_be_read(words in proptest::collection::vec("[-a-z=/]{0,6}|--root|--force|kill|exec|create|--", 0..8)) {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        for dialect in [Dialect::Runc, Dialect::Crun] {
            let read = CommandLine::parse(&words, dialect);
            prop_assert!(read.before_verb().len() <= words.len());
            prop_assert!(read.operands().len() <= words.len());
        }
    }
}
