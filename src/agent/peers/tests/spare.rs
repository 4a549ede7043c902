//! Memory that a target gets ready for a state that is about to come.

use super::lab::{GENERATION, Lab, OPERATION};
use crate::agent::peers::way::Failure;
use std::path::Path;

const SOME: u64 = 1 << 20;
const WHICH: (&str, &str) = (OPERATION, GENERATION);

/// Files below this folder that have no name, and are open here.
fn kept(folder: &Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    open.filter(|path| path.starts_with(folder) && path.to_string_lossy().ends_with("(deleted)"))
        .count()
}

#[tokio::test]
async fn it_is_kept_until_the_state_has_come() {
    let lab = Lab::new().await;
    let root = lab.target("");
    std::fs::create_dir_all(&root).unwrap();
    let mut way = lab.way();
    assert_eq!(way.spare(WHICH, SOME).await, Ok(SOME));
    assert_eq!(way.spare(WHICH, 2 * SOME).await, Ok(2 * SOME));
    assert_eq!(kept(&root), 1);
    way.send(OPERATION, &lab.sealed()).await.unwrap();
    while kept(&root) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nobody_gets_more_than_what_he_may_send_or_what_the_disk_has_room_for() {
    let mut lab = Lab::new().await;
    std::fs::create_dir_all(lab.target("")).unwrap();
    for which in [("another", GENERATION), (OPERATION, "another")] {
        let refused = lab.way().spare(which, SOME).await.unwrap_err();
        assert!(matches!(refused, Failure::Refused(403, _)), "{refused}");
    }
    *lab.records.at_most.lock().unwrap() = Some(SOME);
    assert_eq!(lab.way().spare(WHICH, u64::MAX).await, Ok(SOME));
    lab.reserve = 100;
    lab.start_again().await;
    assert_eq!(lab.way().spare(WHICH, SOME).await, Ok(0));
}
