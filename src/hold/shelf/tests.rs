//! Records on a real disk: crashes, races between processes, and files that cannot be read.

use super::*;
use crate::hold::change::Beginning;
use crate::hold::record::{Deadline, HoldState, Role, Target};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;

/// A folder that goes when the test does.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("holdfast-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn shelf(&self) -> Shelf {
        Shelf::open(&self.0.join("records")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn uid(name: &str) -> Uid {
    Uid::try_from(name).unwrap()
}

fn whose(name: &str) -> Whose {
    Whose {
        namespace: "ns".into(),
        pod: "web".into(),
        uid: uid(name),
    }
}

fn hold(step: HoldStep) -> Change {
    Change::hold("op", step)
}

fn begin() -> Change {
    hold(HoldStep::Begin(Beginning {
        role: Role::Source,
        target: Some(Target {
            node: "n2".into(),
            uid: Some(uid("t1")),
        }),
        generation: "g".into(),
        deadline: Deadline {
            boot: "boot".into(),
            nanos: 9,
        },
        containers: Vec::new(),
    }))
}

fn release() -> Change {
    hold(HoldStep::Release(uid("t1")))
}

fn withdraw() -> Change {
    hold(HoldStep::Withdraw)
}

fn state(shelf: &Shelf, name: &str) -> HoldState {
    shelf.read(&uid(name)).unwrap().unwrap().hold.unwrap().state
}

#[test]
fn a_record_is_kept_for_root_alone_and_forgotten_whole() {
    let folder = Folder::new("kept");
    let shelf = folder.shelf();
    assert!(shelf.read(&uid("u1")).unwrap().is_none());
    let made = shelf.change(&whose("u1"), &begin()).unwrap();
    assert_eq!(shelf.read(&uid("u1")).unwrap(), Some(made.clone()));
    let bits = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(bits(&shelf.folder), 0o700);
    assert_eq!(bits(&shelf.path(&uid("u1"), "json")), 0o600);
    assert_eq!(bits(&shelf.path(&uid("u1"), "lock")), 0o600);

    let later = shelf.change(&whose("u1"), &withdraw()).unwrap();
    assert!(matches!(shelf.forget(&made), Err(ShelfError::Refused(_))));
    shelf.forget(&later).unwrap();
    assert_eq!(fs::read_dir(&shelf.folder).unwrap().count(), 0);
}

#[test]
fn a_refused_change_leaves_the_record_as_it_was() {
    let folder = Folder::new("refused");
    let shelf = folder.shelf();
    shelf.change(&whose("u1"), &begin()).unwrap();
    let released = shelf.change(&whose("u1"), &release()).unwrap();
    let refused = shelf.change(&whose("u1"), &withdraw());
    assert!(
        matches!(refused, Err(ShelfError::Refused(_))),
        "{refused:?}"
    );
    assert_eq!(shelf.read(&uid("u1")).unwrap(), Some(released));
}

#[test]
fn a_record_that_cannot_be_read_is_neither_absent_nor_written_over() {
    let folder = Folder::new("unreadable");
    let shelf = folder.shelf();
    let good = shelf.change(&whose("u1"), &begin()).unwrap().text();
    let path = shelf.path(&uid("u1"), "json");
    let newer = String::from_utf8(good.clone()).unwrap();
    let newer = newer.replace("\"version\":1", "\"version\":2");
    for bad in [&b""[..], &good[..good.len() / 2], newer.as_bytes()] {
        fs::write(&path, bad).unwrap();
        let read = shelf.read(&uid("u1"));
        assert!(
            matches!(read, Err(ShelfError::Unreadable { .. })),
            "{read:?}"
        );
        let changed = shelf.change(&whose("u1"), &withdraw());
        assert!(matches!(changed, Err(ShelfError::Unreadable { .. })));
        assert_eq!(fs::read(&path).unwrap(), bad);
    }
}

#[test]
fn a_list_has_what_can_be_read_and_what_cannot() {
    let folder = Folder::new("list");
    let shelf = folder.shelf();
    shelf.change(&whose("u2"), &begin()).unwrap();
    shelf.change(&whose("u1"), &begin()).unwrap();
    fs::write(shelf.path(&uid("u3"), "json"), "{").unwrap();
    fs::write(shelf.folder.join("u4.new"), "{").unwrap();
    fs::write(shelf.folder.join("NOT A UID.json"), "{").unwrap();
    let found: Vec<_> = shelf
        .list()
        .unwrap()
        .into_iter()
        .map(|(uid, record)| (uid.to_string(), record.is_ok()))
        .collect();
    let expected = [("u1", true), ("u2", true), ("u3", false)];
    assert_eq!(found, expected.map(|(uid, good)| (uid.to_owned(), good)));
    assert!(Shelf::at(&folder.0.join("none")).list().unwrap().is_empty());
}

/// Every content of the disk that a loss of power after these writes may leave: what was not synced may be there in part or not.
fn after_power_loss(old: &[u8], writes: &[DiskWrite]) -> Vec<Vec<u8>> {
    let (mut text, mut is_synced, mut is_renamed, mut is_sure) = (None, false, false, false);
    for write in writes {
        match write {
            DiskWrite::Aside(_, new) => text = Some(new.as_slice()),
            DiskWrite::Sync(_) => is_synced = true,
            DiskWrite::Rename(..) => is_renamed = true,
            DiskWrite::SyncFolder(_) => is_sure = is_renamed,
        }
    }
    let mut found = Vec::new();
    if !is_sure {
        found.push(old.to_vec());
    }
    if let (Some(text), true) = (text, is_renamed) {
        found.push(text.to_vec());
        if !is_synced {
            found.push(text[..text.len() / 2].to_vec());
            found.push(Vec::new());
        }
    }
    found
}

#[test]
fn a_loss_of_power_leaves_the_old_record_or_the_new_one() {
    let folder = Folder::new("power");
    let shelf = folder.shelf();
    let old = shelf.change(&whose("u1"), &begin()).unwrap();
    let new = withdraw().apply(old.clone(), Rules::ALL).unwrap();
    let path = shelf.path(&uid("u1"), "json");
    let left = |writes: &[DiskWrite]| {
        let mut seen = Vec::new();
        for content in after_power_loss(&old.text(), writes) {
            fs::write(&path, content).unwrap();
            seen.push(shelf.read(&uid("u1")).ok().flatten());
        }
        seen
    };
    let writes = shelf.writes(&new);
    for crash in 0..=writes.len() {
        let seen = left(&writes[..crash]);
        let whole = |record: &Option<Record>| {
            record.as_ref() == Some(&old) || record.as_ref() == Some(&new)
        };
        assert!(seen.iter().all(whole), "after {crash} writes: {seen:?}");
    }
    assert_eq!(left(&writes), [Some(new)], "what was reported done is done");
    // Without the sync of the file, this test would fail.
    let [aside, _, rename, folder] = writes;
    assert!(left(&[aside, rename, folder]).contains(&None));
}

/// This very program as another process, to do one change when it is let go.
fn process(folder: &Path, change: &str, die_at: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "hold::shelf::tests::another_process"])
        .env("HOLDFAST_TEST_SHELF", folder)
        .env("HOLDFAST_TEST_CHANGE", change)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(point) = die_at {
        command.env("HOLDFAST_DIE_AT", point);
    }
    command.spawn().unwrap()
}

/// Not a test of its own: what [`process`] runs. By itself it does nothing.
#[test]
fn another_process() {
    let (Some(folder), Some(change)) = (
        std::env::var_os("HOLDFAST_TEST_SHELF"),
        std::env::var_os("HOLDFAST_TEST_CHANGE"),
    ) else {
        return;
    };
    let shelf = Shelf::at(Path::new(&folder));
    let change = if change == "release" {
        release()
    } else {
        withdraw()
    };
    // Until the other end is closed.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    shelf.change(&whose("u1"), &change).unwrap();
}

#[test]
fn of_two_processes_that_withdraw_and_release_one_is_refused() {
    let folder = Folder::new("processes");
    let shelf = folder.shelf();
    for _round in 0..12 {
        shelf.change(&whose("u1"), &begin()).unwrap();
        let mut racers = ["withdraw", "release"].map(|change| process(&shelf.folder, change, None));
        let gates = racers.each_mut().map(|racer| racer.stdin.take());
        drop(gates);
        let won = racers
            .each_mut()
            .map(|racer| racer.wait().unwrap().success());
        let expected = match state(&shelf, "u1") {
            HoldState::Withdrawn => [true, false],
            HoldState::Released => [false, true],
            other => panic!("{other}"),
        };
        assert_eq!(won, expected);
        let seen = shelf.read(&uid("u1")).unwrap().unwrap();
        shelf.forget(&seen).unwrap();
    }
}

#[test]
fn of_two_threads_that_withdraw_and_release_one_is_refused() {
    let folder = Folder::new("threads");
    let shelf = folder.shelf();
    for round in 0..100 {
        let name = format!("u{round}");
        shelf.change(&whose(&name), &begin()).unwrap();
        let start = Barrier::new(2);
        let race = |change: Change| {
            start.wait();
            shelf.change(&whose(&name), &change).is_ok()
        };
        let won = std::thread::scope(|scope| {
            let racers = [withdraw(), release()].map(|change| scope.spawn(|| race(change)));
            racers.map(|racer| racer.join().unwrap())
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        assert_eq!(won[0], state(&shelf, &name) == HoldState::Withdrawn);
    }
}

#[cfg(feature = "faults")]
#[test]
fn a_process_that_ends_at_a_fault_point_leaves_the_old_record_or_the_new_one() {
    for (point, expected) in [
        ("hold.shelf.withdraw.before", HoldState::Frozen),
        ("hold.shelf.withdraw.after", HoldState::Withdrawn),
    ] {
        let folder = Folder::new("dies");
        let shelf = folder.shelf();
        shelf.change(&whose("u1"), &begin()).unwrap();
        let mut dying = process(&shelf.folder, "withdraw", Some(point));
        drop(dying.stdin.take());
        assert!(!dying.wait().unwrap().success(), "{point} was not reached");
        assert_eq!(state(&shelf, "u1"), expected);
        // The lock went with the process, and what it wrote aside is in nobody's way.
        shelf.change(&whose("u1"), &withdraw()).unwrap();
        assert_eq!(state(&shelf, "u1"), HoldState::Withdrawn);
    }
}
