//! Generations that come from elsewhere, on disk.

use super::*;
use crate::agent::store::Found;
use crate::testkit::folder::Folder;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn note(path: &str) -> FileNote {
    FileNote {
        path: path.into(),
        bytes: 3,
        sha256: ABC.into(),
    }
}

fn manifest(files: Vec<FileNote>) -> Vec<u8> {
    let manifest = Manifest {
        files,
        ..Manifest::of_web()
    };
    serde_json::to_vec(&manifest).unwrap()
}

fn generation(folder: &Folder) -> Generation {
    Generation::of(folder.path(), ("ns", "u1"), "g").unwrap()
}

fn below(path: &str) -> Below {
    Below::try_from(path.to_owned()).unwrap()
}

fn put(generation: &Generation, path: &str, offset: u64, bytes: &[u8]) {
    let arriving = generation.arriving(&below(path), (offset, false));
    arriving.unwrap().unwrap().file.write_all(bytes).unwrap();
}

#[test]
fn what_came_whole_gets_its_name_and_is_roots_alone() {
    let folder = Folder::new();
    let generation = generation(&folder);
    put(&generation, "containers/c/pages.img", 0, b"ab");
    put(&generation, "containers/c/pages.img", 2, b"c");
    put(&generation, "criu.conf", 0, b"wrong");
    put(&generation, "criu.conf", 0, b"abc");
    put(&generation, "left/over", 0, b"x");
    assert_eq!(
        generation.look().unwrap(),
        Found::Nothing,
        "it counts for nothing"
    );
    assert_eq!(generation.count_arrived().unwrap(), (3, 7));
    let text = manifest(vec![note("containers/c/pages.img"), note("criu.conf")]);
    let Kept::Whole(digest) = generation
        .keep_arrived(&text, &Early::of(generation.incoming()))
        .unwrap()
    else {
        panic!("it is whole");
    };
    let Found::Sealed(_, found) = generation.look().unwrap() else {
        panic!("it is sealed");
    };
    assert_eq!(found, digest);
    let whole = folder.path().join("ns/u1/g");
    let mode = |path: &str| {
        std::fs::metadata(whole.join(path))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("containers/c/pages.img") & 0o777, 0o600);
    assert_eq!(mode("containers/c") & 0o777, 0o700);
    assert!(!whole.join("left/over").exists());
    generation.forget().unwrap();
    assert!(!folder.path().join("ns").exists());
}

#[test]
fn one_byte_is_enough_to_be_wrong() {
    let folder = Folder::new();
    let generation = generation(&folder);
    let text = manifest(["a", "b", "c", "d"].map(note).to_vec());
    put(&generation, "a", 0, b"abc");
    put(&generation, "b", 0, b"abd");
    put(&generation, "c", 0, b"ab");
    let wrong = ["b", "c", "d"].map(str::to_owned).to_vec();
    assert_eq!(
        generation
            .keep_arrived(&text, &Early::of(generation.incoming()))
            .unwrap(),
        Kept::Wrong(wrong)
    );
    assert_eq!(generation.look().unwrap(), Found::Nothing);
    assert_eq!(
        generation.arrived().unwrap(),
        [note("a")],
        "what was right stays"
    );
}

#[test]
fn a_file_goes_on_where_it_was_and_not_beyond() {
    let folder = Folder::new();
    let generation = generation(&folder);
    put(&generation, "a", 0, b"abc");
    let arriving = |offset, keeps| generation.arriving(&below("a"), (offset, keeps)).unwrap();
    assert!(arriving(4, false).is_none());
    assert!(arriving(4, true).is_none());
    let kept = arriving(1, true).unwrap();
    assert_eq!((kept.at, kept.length, kept.cut), (1, 3, 0));
    let cut = arriving(1, false).unwrap();
    assert_eq!((cut.at, cut.length, cut.cut), (1, 1, 2));
    assert_eq!(generation.count_arrived().unwrap(), (1, 1));
}

#[test]
fn no_link_is_followed_whoever_put_it_there() {
    let folder = Folder::new();
    let generation = generation(&folder);
    put(&generation, "a", 0, b"abc");
    let target = folder.write("target", "stays");
    let incoming = generation.incoming();
    std::os::unix::fs::symlink(&target, incoming.join("link")).unwrap();
    std::os::unix::fs::symlink(folder.path(), incoming.join("folder")).unwrap();
    for path in ["link", "folder/target", "a/b"] {
        assert!(
            generation.arriving(&below(path), (0, true)).is_err(),
            "{path}"
        );
    }
    assert_eq!(std::fs::read_to_string(target).unwrap(), "stays");
    generation.refuse_arrived().unwrap();
    std::fs::create_dir_all(incoming.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(folder.path(), &incoming).unwrap();
    assert!(
        generation.arriving(&below("a"), (0, false)).is_err(),
        "the folder itself"
    );
}

#[test]
fn a_manifest_that_names_what_may_not_come_is_refused() {
    let folder = Folder::new();
    let generation = generation(&folder);
    for files in [
        vec![note("../../x")],
        vec![note("/etc/passwd")],
        vec![note("manifest.json")],
        vec![note("a"), note("a")],
    ] {
        assert!(
            generation
                .keep_arrived(&manifest(files), &Early::of(generation.incoming()))
                .is_err()
        );
    }
    assert!(
        generation
            .keep_arrived(b"{}", &Early::of(generation.incoming()))
            .is_err()
    );
}

#[test]
fn what_the_disk_could_not_take_once_comes_anew_and_is_not_asked_about_again() {
    let folder = Folder::new();
    let generation = generation(&folder);
    put(&generation, "criu.conf", 0, b"abc");
    let text = manifest(vec![note("criu.conf")]);
    let early = Early::failed(generation.incoming());
    let failure = generation.keep_arrived(&text, &early).unwrap_err();
    assert!(failure.to_string().contains("sync"), "{failure}");
    assert_eq!(generation.look().unwrap(), Found::Nothing);
    assert_eq!(generation.count_arrived().unwrap(), (0, 0));
}
