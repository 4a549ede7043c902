use super::*;
use crate::cri::client::Cri;
use crate::host::record::Engine;
use crate::host::service::Service;
use crate::host::testkit::Folder;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const RUNC: &str = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n";

fn node(engine: Engine, means: Means) -> Node {
    Node {
        service: Service {
            engine,
            cri: Cri::new(Path::new("/nowhere"), Duration::from_secs(1)),
            command: Some("true".into()),
            limit: Duration::from_secs(1),
        },
        means,
    }
}

/// A program that a script stands for.
fn program(folder: &Folder, name: &str, script: &str) -> PathBuf {
    let path = folder.write(name, &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A containerd that prints the file that it is given.
fn containerd(folder: &Folder, dump: &str) -> Node {
    let found = Containerd {
        program: program(folder, "containerd", dump),
        config: folder.path("etc/config.toml"),
        socket: "/nowhere".into(),
    };
    node(Engine::Containerd, Means::Containerd(found))
}

fn site<'a>(node: &'a Node, prefix: &'a Path) -> Site<'a> {
    fs::create_dir_all(prefix).unwrap();
    Site {
        node,
        prefix,
        program: prefix.join("bin/holdfast-runtime"),
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn crio_gets_a_drop_in_and_loses_it_again() {
    let folder = Folder::new("configure-crio");
    let drop_in = folder.path("etc/crio/crio.conf.d/90-holdfast.conf");
    let crio = program(
        &folder,
        "crio",
        "echo [crio.runtime.runtimes.runc]; echo 'runtime_path = \"/usr/bin/runc\"'; echo 'monitor_path = \"/usr/bin/conmon\"'",
    );
    let node = node(
        Engine::Crio,
        Means::Crio {
            program: Some(crio),
            drop_in: drop_in.clone(),
        },
    );
    let prefix = folder.path("opt");
    let site = site(&node, &prefix);
    assert_eq!(
        learn(&node, &site.program).await.unwrap().named,
        Some("/usr/bin/runc".into())
    );
    let mut record = Record::new(Engine::Crio);
    site.add(&mut record).await.unwrap();
    assert!(record.restart);
    let written = text(&drop_in);
    assert!(
        written.contains("/opt/bin/holdfast-runtime\"")
            && written.contains("monitor_path = \"/usr/bin/conmon\""),
        "{written}"
    );
    record.restart = false;
    site.add(&mut record).await.unwrap();
    assert!(!record.restart, "a second time changes nothing");
    site.take_back(&mut record).await.unwrap();
    assert!(record.restart && record.change.is_none());
    assert!(
        !folder.path("etc").exists(),
        "also the directories that were made for it"
    );
}

#[tokio::test]
async fn what_stood_in_our_drop_ins_place_comes_back() {
    let folder = Folder::new("configure-crio-former");
    let drop_in = folder.write("etc/90-holdfast.conf", "# somebody's\n");
    let node = node(
        Engine::Crio,
        Means::Crio {
            program: None,
            drop_in: drop_in.clone(),
        },
    );
    let prefix = folder.path("opt");
    let site = site(&node, &prefix);
    let mut record = Record::new(Engine::Crio);
    site.add(&mut record).await.unwrap();
    assert!(text(&drop_in).contains("holdfast-runtime"));
    // Whoever comes after a death knows it all from the disk.
    let path = prefix.join(crate::host::record::FILE);
    let mut later = Record::read(&path, &fs::read(&path).unwrap()).unwrap();
    assert_eq!(later, record);
    site.take_back(&mut later).await.unwrap();
    assert_eq!(text(&drop_in), "# somebody's\n");
}

#[tokio::test]
async fn somebody_elses_handler_of_our_name_is_left_alone() {
    let folder = Folder::new("configure-foreign");
    let theirs = format!(
        "version = 2\n{RUNC}{}options.BinaryName = \"/usr/bin/other\"\n",
        RUNC.replace("runc]", "holdfast]")
    );
    let config = folder.write("etc/config.toml", &theirs);
    let node = containerd(&folder, "cat $2");
    let prefix = folder.path("opt");
    let error = site(&node, &prefix)
        .add(&mut Record::new(Engine::Containerd))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("runs another program than holdfast-runtime"),
        "{error}"
    );
    assert_eq!(text(&config), theirs);
}

#[tokio::test]
async fn a_handler_of_ours_that_no_record_knows_is_taken_over() {
    let folder = Folder::new("configure-adopt");
    let config = folder.write("etc/config.toml", &format!("version = 2\n# mine\n{RUNC}"));
    let former = text(&config);
    let node = containerd(&folder, "cat $2");
    let prefix = folder.path("opt");
    let site = site(&node, &prefix);
    let mut record = Record::new(Engine::Containerd);
    site.add(&mut record).await.unwrap();
    let written = text(&config);
    assert_ne!(written, former);
    // The prefix is wiped; the configuration stays.
    fs::remove_dir_all(&prefix).unwrap();
    fs::create_dir_all(&prefix).unwrap();
    let mut record = Record::new(Engine::Containerd);
    site.add(&mut record).await.unwrap();
    assert_eq!(text(&config), written, "it is as it should be");
    assert!(!record.restart);
    site.take_back(&mut record).await.unwrap();
    assert_eq!(text(&config), former);
}

#[tokio::test]
async fn a_file_that_is_read_otherwise_than_it_was_tried_gets_its_former_bytes() {
    let folder = Folder::new("configure-otherwise");
    let config = folder.write("etc/config.toml", &format!("version = 2\n{RUNC}"));
    let former = text(&config);
    // The real file, once it is ours, reads as if somebody had changed another thing.
    let node = containerd(
        &folder,
        "cat $2; case $2 in *new) ;; *) grep -q holdfast $2 && echo '[debug]' && echo 'level = \"x\"';; esac; :",
    );
    let prefix = folder.path("opt");
    let mut record = Record::new(Engine::Containerd);
    let error = site(&node, &prefix)
        .add(&mut record)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the former one is in place again"),
        "{error}"
    );
    assert_eq!(text(&config), former);
    assert!(record.change.is_none() && !record.restart);
}

#[tokio::test]
async fn a_changed_default_handler_is_followed() {
    let folder = Folder::new("configure-follow");
    let config = folder.write("etc/config.toml", &format!("version = 2\n{RUNC}"));
    let node = containerd(&folder, "cat $2");
    let prefix = folder.path("opt");
    let site = site(&node, &prefix);
    let mut record = Record::new(Engine::Containerd);
    site.add(&mut record).await.unwrap();
    record.restart = false;
    let changed = text(&config).replacen(
        "io.containerd.runc.v2\"\n",
        "io.containerd.runc.v2\"\noptions = { SystemdCgroup = true }\n",
        1,
    );
    fs::write(&config, &changed).unwrap();
    site.add(&mut record).await.unwrap();
    assert!(
        record.restart && text(&config).matches("SystemdCgroup = true").count() == 2,
        "{}",
        text(&config)
    );
    site.take_back(&mut record).await.unwrap();
    let expected = format!("version = 2\n{RUNC}options = {{ SystemdCgroup = true }}\n");
    assert_eq!(text(&config), expected);
}
