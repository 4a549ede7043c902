use super::*;
use crate::host::testkit::Folder;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn reads_a_command_line_in_any_form() {
    for line in [
        "containerd -c /x.toml",
        "containerd --config=/x.toml",
        "containerd --log-level info --config /x.toml",
    ] {
        assert_eq!(
            option(&words(line), &["-c", "--config"]),
            Some("/x.toml"),
            "{line}"
        );
    }
    assert_eq!(
        option(&words("containerd --config"), &["-c", "--config"]),
        None
    );
}

/// A program that prints the file it is given as the configuration in effect, in one of two ways of merging.
fn containerd(folder: &Folder, dump: &str) -> Containerd {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.write(
        "containerd",
        &format!(
            "#!/bin/sh\n[ \"$1\" = config ] && exec cat {}\nconfig=$2\n{dump}\n",
            folder.path("default.toml").display()
        ),
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Containerd {
        program,
        config: folder.path("etc/config.toml"),
        socket: "/nowhere".into(),
    }
}

const CONFIG: &str = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x\"\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n";

async fn proposed(found: &Containerd) -> Result<Proposal, Error> {
    let now = disk::read(&found.config).unwrap();
    let before = found.effective().await.unwrap();
    let wanted = handler::wanted(&before, Path::new("/opt/holdfast/bin/holdfast-runtime")).unwrap();
    found.propose(&now, &before, &wanted, None).await
}

#[tokio::test]
async fn a_drop_in_is_taken_only_if_it_changes_nothing_else() {
    let folder = Folder::new("containerd-drop-in");
    let imports = format!(
        "imports = [\"{}/*.toml\"]\n",
        folder.path("conf.d").display()
    );
    folder.write(
        "etc/config.toml",
        &CONFIG.replacen("[plugins", &format!("{imports}[plugins"), 1),
    );
    let merges = "for file in $(sed -n 's/^imports = //p' $config | tr -d '[],\\\"' | tr \"'\" ' '); do case $file in *'*'*) ;; *) grep -v -e '^version' -e '^imports' $file; esac; done; grep -v '^imports' $config";
    let found = containerd(
        &folder,
        &format!("{{ {merges}; }} | sed 's/^version.*//'; :"),
    );
    // The version would stand behind tables otherwise.
    let found = Containerd {
        program: with_version(&folder, &found.program),
        ..found
    };
    let proposal = proposed(&found).await.unwrap();
    assert_eq!(proposal.path, folder.path("conf.d/90-holdfast.toml"));
    assert!(!folder.path("conf.d").exists(), "it was only tried");
    // One that replaces what other files say: the second file is all that counts.
    let replaces = containerd(
        &folder,
        "last=$(sed -n 's/^imports = //p' $config | tr -d '[],\\\"' | tr ' ' '\\n' | grep holdfast-new); grep -v '^imports' ${last:-$config}",
    );
    let proposal = proposed(&replaces).await.unwrap();
    assert_eq!(proposal.path, replaces.config);
    assert_eq!(disk::names(&folder.path("etc")).unwrap(), ["config.toml"]);
}

fn with_version(folder: &Folder, program: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.write(
        "containerd-2",
        &format!(
            "#!/bin/sh\necho version = 2\nexec {} \"$@\"\n",
            program.display()
        ),
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_missing_file_is_made_with_the_handlers_that_would_be_lost() {
    let folder = Folder::new("containerd-missing");
    folder.write(
        "default.toml",
        &CONFIG.replace("sandbox_image = \"x\"\n", ""),
    );
    let found = containerd(&folder, "cat $config");
    let proposal = proposed(&found).await.unwrap();
    assert_eq!(proposal.handlers, ["holdfast", "runc"]);
    let text = String::from_utf8(proposal.bytes).unwrap();
    assert!(
        text.starts_with("version = 2\n") && text.contains("runtimes.runc]"),
        "{text}"
    );
    assert!(!folder.path("etc").exists());
}

#[tokio::test]
async fn a_containerd_that_reads_other_things_differently_is_refused() {
    let folder = Folder::new("containerd-refused");
    folder.write("etc/config.toml", CONFIG);
    let found = containerd(&folder, "echo \"state = '$config'\"; cat $config");
    let error = proposed(&found).await.unwrap_err().to_string();
    assert!(
        error.contains("docs/host.md") && error.contains("config.toml"),
        "{error}"
    );
}
