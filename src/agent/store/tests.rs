//! Generations on disk.

use super::*;
use crate::agent::api::ContainerReport;
use crate::testkit::folder::Folder;
use std::os::unix::fs::PermissionsExt;

fn manifest() -> Manifest {
    Manifest {
        containers: vec![ContainerReport {
            name: "c".into(),
            ..ContainerReport::default()
        }],
        ..Manifest::of_web()
    }
}

fn generation(folder: &Folder) -> Generation {
    Generation::of(folder.path(), ("ns", "u1"), "g").unwrap()
}

#[test]
fn a_generation_is_a_part_then_a_cut_then_sealed() {
    let folder = Folder::new();
    let generation = generation(&folder);
    assert_eq!(generation.look().unwrap(), Found::Nothing);
    generation.begin().unwrap();
    assert_eq!(generation.look().unwrap(), Found::Part);
    folder.write("ns/u1/g.part/containers/c/pages.img", "abc");
    generation.cut(&manifest()).unwrap();
    assert!(matches!(generation.look().unwrap(), Found::Cut(found) if *found == manifest()));
    generation.seal(manifest(), None).unwrap();
    let Found::Sealed(sealed, digest) = generation.look().unwrap() else {
        panic!("it is sealed");
    };
    assert_eq!(sealed.files.len(), 1);
    assert_eq!(sealed.files[0].path, "containers/c/pages.img");
    assert_eq!(
        sealed.files[0].sha256,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert!(digest.starts_with("sha256:"));
    let mode = |path: &str| {
        let path = folder.path().join(path);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode("ns/u1/g"), 0o700);
    assert_eq!(mode("ns/u1/g/manifest.json"), 0o600);
    generation.forget().unwrap();
    assert_eq!(generation.look().unwrap(), Found::Nothing);
    assert!(!folder.path().join("ns").exists());
    generation.forget().unwrap();
}

#[test]
fn what_is_noted_is_the_same_each_time_and_none_to_be_used() {
    let folder = Folder::new();
    let generation = generation(&folder);
    generation.begin().unwrap();
    folder.write("ns/u1/g.part/containers/c/pages.img", "abc");
    generation.cut(&manifest()).unwrap();
    let (at, _, text) = generation.note(manifest(), None).unwrap();
    assert_eq!(at, generation.part());
    assert!(matches!(generation.look().unwrap(), Found::Cut(_)));
    assert!(generation.sealed().is_err());
    // Whoever died here does it again.
    let again = generation.note(manifest(), None).unwrap();
    assert_eq!(again.2, text);
    generation.settle().unwrap();
    assert!(matches!(generation.look().unwrap(), Found::Cut(_)));
    generation.name_it().unwrap();
    assert_eq!(generation.sealed().unwrap().2, text);
}

#[test]
fn what_was_given_up_leaves_a_sentence_and_nothing_else() {
    let folder = Folder::new();
    let generation = generation(&folder);
    generation.begin().unwrap();
    folder.write("ns/u1/g.part/pages.img", "secret");
    generation.fail("the disk is full").unwrap();
    let found = generation.look().unwrap();
    assert_eq!(found, Found::Failed("the disk is full".into()));
    assert!(!folder.path().join("ns/u1/g.part").exists());
}

#[test]
fn what_cannot_be_read_counts_for_nothing_and_can_be_forgotten() {
    let folder = Folder::new();
    let generation = generation(&folder);
    let newer = Manifest {
        version: VERSION + 1,
        ..manifest()
    };
    let newer = serde_json::to_string(&newer).unwrap();
    for (text, says) in [("{\"version\":1", "EOF"), (&*newer, "version 3")] {
        folder.write("ns/u1/g/manifest.json", text);
        let Found::Failed(why) = generation.look().unwrap() else {
            panic!("{text}");
        };
        assert!(why.contains(says), "{why}");
    }
    generation.forget().unwrap();
    folder.write("ns/u1/g.part/cut.json", "");
    assert_eq!(generation.look().unwrap(), Found::Part);
}

#[test]
fn who_dies_over_forgetting_leaves_a_part_that_can_be_forgotten() {
    let folder = Folder::new();
    let generation = generation(&folder);
    folder.write("ns/u1/g/containers/c/images/pages-1.img", "secret");
    assert_eq!(generation.look().unwrap(), Found::Part);
    generation.fail("it is lost").unwrap();
    assert!(!folder.path().join("ns/u1/g").exists());
    generation.forget().unwrap();
    assert_eq!(generation.look().unwrap(), Found::Nothing);
}

#[test]
fn what_is_emptied_is_still_a_part() {
    let folder = Folder::new();
    let generation = generation(&folder);
    folder.write("ns/u1/g.part/containers/c/images/pages-1.img", "secret");
    generation.empty().unwrap();
    assert_eq!(generation.look().unwrap(), Found::Part);
    assert!(!folder.path().join("ns/u1/g.part/containers").exists());
}

#[test]
fn names_lead_nowhere_else() {
    let root = Path::new("/x");
    for (namespace, uid, name) in [
        ("..", "u", "g"),
        ("ns", "a/b", "g"),
        ("ns", "u", ""),
        ("ns", "u", ".g"),
    ] {
        assert!(Generation::of(root, (namespace, uid), name).is_err());
    }
}

#[test]
fn a_release_names_who_may_run_what_is_here_and_nothing_else() {
    let folder = Folder::new();
    let generation = generation(&folder);
    let none = generation.release(Some("t1"), "sha256:0").unwrap_err();
    assert!(none.to_string().contains("not here"), "{none}");
    generation.begin().unwrap();
    generation.seal(manifest(), None).unwrap();
    let Found::Sealed(_, digest) = generation.look().unwrap() else {
        panic!("it is sealed");
    };
    let other = generation.release(Some("t1"), "sha256:0").unwrap_err();
    assert!(other.to_string().contains("another digest"), "{other}");
    assert!(!generation.released().unwrap().is_to(Some("t1")));
    for uid in ["t1", "t1", "t2"] {
        generation.release(Some(uid), &digest).unwrap();
    }
    let released = generation.released().unwrap();
    assert_eq!(released.pods, ["t1", "t2"]);
    assert!(!released.is_to(None) && !released.is_to(Some("t3")));
    generation.release(None, &digest).unwrap();
    assert!(generation.released().unwrap().is_to(None));
    folder.write("ns/u1/g.released", "{");
    assert!(generation.released().is_err());
    generation.forget().unwrap();
    assert!(!folder.path().join("ns").exists());
}

#[test]
fn a_state_is_found_in_its_namespace_alone_and_the_newest_of_a_pod_is_known() {
    let folder = Folder::new();
    let find = |namespace: &str, name: &str| {
        let found = Generation::find(folder.path(), (namespace, &["t1", ""]), name).unwrap();
        found.map(|(generation, _)| generation.whole())
    };
    assert_eq!(find("ns", "g"), None);
    generation(&folder).begin().unwrap();
    generation(&folder).seal(manifest(), None).unwrap();
    assert_eq!(find("ns", "g"), Some(folder.path().join("ns/u1/g")));
    assert_eq!(find("other", "g"), None);
    assert_eq!(find("ns", "h"), None);
    let next = Generation::of(folder.path(), ("ns", "u1"), "h").unwrap();
    assert_eq!(next.older().unwrap().as_deref(), Some("g"));
    assert_eq!(generation(&folder).older().unwrap(), None);
}
