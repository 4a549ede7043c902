use super::*;
use crate::host::values::text;
use proptest::prelude::*;
use serde_json::json;

fn dialect(version: i64) -> Dialect {
    Dialect::of("a test", &json!({ "version": version })).unwrap()
}

fn ours() -> Vec<Handler> {
    let table = json!({
        "runtime_type": "io.containerd.runc.v2", "pod_annotations": ["holdfast.dev/*", "a\"b"], "cni_max_conf_num": 2,
        "options": {"BinaryName": "/opt/holdfast/bin/holdfast-runtime", "SystemdCgroup": true},
    });
    vec![("holdfast".into(), table)]
}

fn names() -> Vec<String> {
    vec!["holdfast".into()]
}

/// Adds and removes; what was added, once it was seen that all is as it should be.
fn goes_and_comes(former: &str, version: i64) -> String {
    let (dialect, what) = (dialect(version), "/etc/containerd/config.toml");
    let with = added(what, former, dialect, &ours()).unwrap();
    let value = read(what, &with).unwrap();
    let found = at(&value, &path(dialect, "holdfast")).unwrap();
    assert_eq!(found, &ours()[0].1, "{with}");
    let without = removed(what, &with, dialect, &names()).unwrap();
    let same = |one: &str, other: &str| {
        let value = |text| without_empty_tables(&read(what, text).unwrap());
        assert_eq!(value(one), value(other), "{one}\n---\n{other}");
    };
    if former.trim().is_empty() {
        assert_eq!(read(what, &without).unwrap(), json!({"version": version}));
    } else {
        same(&without, former);
    }
    for comment in former
        .lines()
        .filter_map(|line| line.find('#').map(|at| &line[at..]))
    {
        assert!(
            with.contains(comment) && without.contains(comment),
            "{comment}\n{with}\n{without}"
        );
    }
    assert_eq!(
        removed(what, former, dialect, &names()).unwrap(),
        former,
        "there was none"
    );
    with
}

const KUBEADM: &str = r#"# made by the image's builder
version   =  2
imports = [ "/etc/containerd/conf.d/*.toml" , "extra/*.toml" ] # relative ones too

[plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "registry.k8s.io/pause:3.10" # pinned
	[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]

      SystemdCgroup   = true # as the kubelet's

[debug]
  level = 'info'"#;

#[test]
fn an_ordinary_file_keeps_every_byte() {
    let with = goes_and_comes(KUBEADM, 2);
    assert!(
        with.starts_with(&format!("{KUBEADM}\n# holdfast: begin")),
        "{with}"
    );
    let removed = removed("x", &with, dialect(2), &names()).unwrap();
    assert_eq!(removed, format!("{KUBEADM}\n"));
    let newer = KUBEADM
        .replace("= 2", "= 3")
        .replace("grpc.v1.cri", "cri.v1.runtime")
        + "\n";
    let with = goes_and_comes(&newer.replace("version   =  2", "version = 3"), 3);
    assert!(
        with.contains("[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.holdfast]"),
        "{with}"
    );
}

#[test]
fn odd_files_are_edited_in_place() {
    for former in [
        "version = 2\nplugins = {} # none\n",
        "version = 2\n[plugins]\n\"io.containerd.grpc.v1.cri\" = { containerd = { runtimes = { runc = {} } } } # all in one\n",
        "version = 2\nplugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.runtime_type = 'x' # dotted\n",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nruntimes.runc = {} # dotted below\n[debug]\n",
        "\u{feff}version = 2 # with a mark\n",
        "version = 2\r\n[debug] # from another system\r\nlevel = 'info'\r\n",
    ] {
        goes_and_comes(former, 2);
    }
}

#[test]
fn a_file_that_says_nothing_gets_a_version() {
    for former in ["", "\n\n", "# only words\n# of comfort"] {
        let with = added("x", former, dialect(3), &ours()).unwrap();
        assert!(
            with.starts_with(former) && with.contains("version = 3"),
            "{with}"
        );
        assert_eq!(
            removed("x", &with, dialect(3), &names())
                .unwrap()
                .replace("version = 3\n\n", ""),
            with_end(former)
        );
    }
}

fn with_end(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') {
        text.to_owned()
    } else {
        format!("{text}\n")
    }
}

#[test]
fn what_others_wrote_since_stays_whatever_they_wrote() {
    let with = added("x", KUBEADM, dialect(2), &ours()).unwrap();
    // A key behind our part belongs to our last table, and goes with it; a table does not.
    let changed = with.replace("level = 'info'", "level = 'debug'")
        + "ShimCgroup = \"/x\"\n[timeouts] # mine\n  a = \"3s\"\n";
    let without = removed("x", &changed, dialect(2), &names()).unwrap();
    assert!(
        !without.contains("holdfast") && without.contains("[timeouts] # mine"),
        "{without}"
    );
    let value = read("x", &without).unwrap();
    assert_eq!(text(&value, &["debug", "level"]), "debug");
    assert_eq!(text(&value, &["timeouts", "a"]), "3s");
    assert!(!without.contains("ShimCgroup"), "{without}");
    // Somebody ran a formatter over it, which dropped all comments.
    let bare: Vec<_> = with
        .lines()
        .filter(|line| !line.trim().starts_with('#'))
        .collect();
    let bare = bare.join(
        "
",
    ) + "
";
    let without = removed("x", &bare, dialect(2), &names()).unwrap();
    assert!(
        !without.contains("holdfast") && without.contains("SystemdCgroup   = true"),
        "{without}"
    );
}

#[test]
fn says_where_it_cannot_write() {
    let former = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\ncontainerd = 3\n";
    let error = added("/etc/c.toml", former, dialect(2), &ours())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/etc/c.toml") && error.contains("usual form"),
        "{error}"
    );
    let error = added("/etc/c.toml", "version = ", dialect(2), &ours())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no TOML"), "{error}");
}

#[test]
fn knows_which_folders_are_read() {
    let value = json!({"imports": ["/etc/containerd/conf.d/*.toml", "conf.d/*.toml", "/a/*/x/*.toml", "/one.toml"]});
    assert_eq!(covered(&value), ["/etc/containerd/conf.d"]);
    assert!(covered(&json!({})).is_empty());
}

/// A line of white space or of words.
fn filler() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[ \t]{0,3}",
        "[ \t]{0,2}# [a-z =\\[\\]\"]{0,20}"
    ]
}

fn key_value(number: usize) -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "[0-9]{1,4}".prop_map(|digits| digits.trim_start_matches('0').to_owned() + "0"),
        "\"[a-z ]{0,8}\"",
        "'[a-z\\\\]{0,8}'",
        Just("[ 1, 2 , # c\n 3 ]".to_owned()),
        Just("{ a = { b = 1 } }".to_owned()),
        Just("\"\"\"\nx = [plugins]\n\"\"\"".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just("true".to_owned()),
    ];
    (
        "[ \t]{0,3}",
        "[ \t]{0,2}",
        value,
        prop_oneof![Just(""), Just(" # why")],
    )
        .prop_map(move |(indent, space, value, tail)| {
            format!("{indent}k{number}{space}={space}{value}{tail}")
        })
}

/// Any file of containerd's kind, with the handlers in one of the forms in which people write them.
fn file() -> impl Strategy<Value = String> {
    let cri = prop_oneof![
        Just(""),
        Just(
            "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = 'r'"
        ),
        Just(
            "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.'runc'.options]\nSystemdCgroup = true"
        ),
        Just(
            "[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  runtimes.runc.runtime_type = 'r'"
        ),
        Just(
            "[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  runtimes = { runc = { runtime_type = 'r' } }"
        ),
        Just(
            "[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = 'x'\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]"
        ),
    ];
    let table = (filler(), prop::collection::vec(filler(), 0..3), 0_usize..4).prop_flat_map(
        |(before, between, keys)| {
            let keys: Vec<_> = (0..keys).map(key_value).collect();
            (Just(before), Just(between), keys)
        },
    );
    (
        filler(),
        prop::collection::vec(table, 0..5),
        cri,
        0_usize..6,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(first, tables, cri, place, ends, carriage)| {
            let mut lines = vec![first, "version = 2".to_owned()];
            for (number, (before, between, keys)) in tables.into_iter().enumerate() {
                if number == place {
                    lines.push(cri.to_owned());
                }
                lines.extend([before, format!("[table{number}]")]);
                lines.extend(keys);
                lines.extend(between);
            }
            if !lines.iter().any(|line| line == cri) {
                lines.push(cri.to_owned());
            }
            let text = lines.join(if carriage { "\r\n" } else { "\n" });
            if ends { text + "\n" } else { text }
        })
}

proptest! {
    #[test]
    fn whatever_is_there_stays(former in file()) {
        prop_assume!(read("x", &former).is_ok());
        let with = goes_and_comes(&former, 2);
        let twice = added("x", &former, dialect(2), &ours()).unwrap();
        prop_assert_eq!(&with, &twice);
        // In the usual form nothing but our part is added, byte for byte; and taking it out gives the former file.
        if with.starts_with(&with_end(&former)) {
            let without = removed("x", &with, dialect(2), &names()).unwrap();
            prop_assert_eq!(without, with_end(&former));
        }
    }

    #[test]
    fn never_fails_on_any_text(text in "\\PC{0,80}") {
        let _any = added("x", &text, dialect(2), &ours());
        let _any = removed("x", &text, dialect(2), &names());
    }
}
