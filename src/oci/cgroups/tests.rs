use super::*;
use crate::testkit::folder::Folder;

fn old(folder: &Folder, state: &str, pids: &str) -> Cgroups {
    folder.write("freezer/c1/freezer.state", state);
    folder.write("freezer/c1/cgroup.procs", pids);
    folder.write("memory/c1/cgroup.procs", pids);
    folder.write("memory/machine/cgroup.procs", "1\n2\n");
    let directories = ["memory/machine", "memory/c1", "freezer/c1"];
    Cgroups::at(directories.map(|name| folder.path().join(name)))
}

#[test]
fn the_old_freezer_is_told_in_words() {
    let folder = Folder::new();
    let cgroups = old(&folder, "THAWED\n", "7\n8\n");
    assert!(!cgroups.is_frozen().unwrap());
    cgroups.freeze(Duration::ZERO).unwrap();
    assert!(cgroups.is_frozen().unwrap());
    cgroups.thaw().unwrap();
    assert!(!cgroups.is_frozen().unwrap());
}

#[test]
fn who_shares_a_hierarchy_is_not_of_the_container() {
    let folder = Folder::new();
    let cgroups = old(&folder, "THAWED\n", "7\n8\n");
    assert_eq!(cgroups.pids().unwrap(), [7, 8].into());
    assert_eq!(cgroups.directories().len(), 2);
}

#[test]
fn what_the_container_made_below_belongs_to_it() {
    let folder = Folder::new();
    let cgroups = old(&folder, "FROZEN\n", "");
    assert!(cgroups.is_empty().unwrap());
    folder.write("freezer/c1/inner/deep/cgroup.procs", "9\n0\n");
    assert_eq!(cgroups.pids().unwrap(), [9].into());
}

#[test]
fn the_unified_hierarchy_is_told_in_numbers() {
    let folder = Folder::new();
    folder.write("c1/cgroup.freeze", "0");
    folder.write("c1/cgroup.events", "populated 1\nfrozen 1\n");
    let cgroups = Cgroups::at([folder.path().join("c1")]);
    assert!(cgroups.is_frozen().unwrap());
    cgroups.freeze(Duration::ZERO).unwrap();
    let order = || std::fs::read_to_string(folder.path().join("c1/cgroup.freeze")).unwrap();
    assert_eq!(order(), "1");
    cgroups.thaw().unwrap();
    assert_eq!(order(), "0");
}

#[test]
fn one_that_does_not_freeze_is_named() {
    let folder = Folder::new();
    folder.write("c1/cgroup.freeze", "0");
    folder.write("c1/cgroup.events", "frozen 0\n");
    let cgroups = Cgroups::at([folder.path().join("c1")]);
    let error = cgroups.freeze(Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("c1"), "{error}");
}

#[test]
fn cgroups_that_are_gone_are_empty_and_dead() {
    let cgroups = Cgroups::at(["/no/such/c1"]);
    assert!(cgroups.is_empty().unwrap());
    assert!(!cgroups.is_frozen().unwrap());
    cgroups.thaw().unwrap();
    cgroups.kill(Duration::from_secs(1)).unwrap();
    assert!(cgroups.freeze(Duration::ZERO).is_err());
}

#[test]
fn none_known_is_not_none_alive() {
    let none: [PathBuf; 0] = [];
    assert!(Cgroups::at(none).kill(Duration::ZERO).is_err());
}

#[test]
fn a_process_that_is_not_the_containers_is_never_killed() {
    let folder = Folder::new();
    let cgroups = old(&folder, "FROZEN\n", "1\n");
    assert!(cgroups.kill(Duration::from_secs(1)).is_err());
}
