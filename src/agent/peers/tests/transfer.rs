//! A state on its way: it comes whole or not at all, whatever happens on the way.

use super::lab::{GENERATION, Lab, OPERATION};
use crate::agent::peers::sending::{Begun, Shipment};
use crate::agent::peers::way::{Failure, Way};
use crate::agent::peers::wire::Ended;
use crate::agent::store::Found;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

/// The target has all of it, and each file is the source's.
fn is_whole(lab: &Lab) -> bool {
    let (source, manifest, text) = lab.sealed().sealed().unwrap();
    let Ok((target, _, text_there)) = lab.at_target().sealed() else {
        return false;
    };
    let same = |path: &str| {
        std::fs::read(source.join(path)).unwrap() == std::fs::read(target.join(path)).unwrap()
    };
    text == text_there && manifest.files.iter().all(|file| same(&file.path))
}

async fn begin(lab: &Lab, way: &mut Way) -> Shipment {
    let (folder, ..) = lab.sealed().sealed().unwrap();
    match Shipment::begin(way, OPERATION, GENERATION, folder)
        .await
        .unwrap()
    {
        Begun::Shipment(shipment) => shipment,
        Begun::Verified(digest) => panic!("{digest} is there"),
    }
}

fn paths(lab: &Lab) -> Vec<String> {
    let (_, manifest, _) = lab.sealed().sealed().unwrap();
    manifest.files.into_iter().map(|file| file.path).collect()
}

#[tokio::test]
async fn it_comes_whole_and_is_sent_once() {
    let lab = Lab::new().await;
    let mut way = lab.way();
    let sent = way.send(OPERATION, &lab.sealed()).await.unwrap();
    assert!(is_whole(&lab));
    let Found::Sealed(manifest, digest) = lab.at_target().look().unwrap() else {
        panic!("it is sealed");
    };
    assert_eq!(digest, sent.digest);
    let all: i64 = manifest.files.iter().map(|file| file.bytes).sum();
    assert_eq!(i64::try_from(sent.bytes).unwrap(), all);
    let again = way.send(OPERATION, &lab.sealed()).await.unwrap();
    assert_eq!((again.bytes, again.digest), (0, digest));
    assert_eq!(lab.connections(), 1);
}

#[tokio::test]
async fn wherever_the_wire_is_cut_it_goes_on_from_there() {
    let mut cuts = 0_u64;
    // In the handshake, in the questions, in every file, in the manifest.
    for at in [
        500, 2000, 4000, 6000, 20_000, 500_000, 1_000_000, 1_500_000, 1_600_000, 1_610_000,
        1_620_000,
    ] {
        let lab = Lab::new().await;
        let generation = lab.sealed();
        lab.cut_after(at);
        let sent = lab.way().send(OPERATION, &generation).await.unwrap();
        assert!(is_whole(&lab), "cut at {at}");
        cuts += u64::from(lab.was_cut());
        assert!(!lab.target("ns/u1/g.incoming").exists());
        assert!(sent.digest.starts_with("sha256:"));
    }
    assert!(cuts >= 9, "{cuts}");
}

#[tokio::test]
async fn after_every_file_a_new_connection_goes_on_with_what_is_there() {
    let lab = Lab::new().await;
    for path in paths(&lab) {
        let mut way = lab.way();
        let mut shipment = begin(&lab, &mut way).await;
        shipment.carry(&mut way, &[path]).await.unwrap();
    }
    let mut way = lab.way();
    let sent = way.send(OPERATION, &lab.sealed()).await.unwrap();
    assert_eq!(sent.bytes, 0, "all of it was there");
    assert!(is_whole(&lab));
}

#[tokio::test]
async fn what_grows_while_it_is_sent_comes_whole() {
    let lab = Lab::new().await;
    let growing = lab.folder.path().join("growing");
    std::fs::create_dir_all(&growing).unwrap();
    let mut way = lab.way();
    let begun = Shipment::begin(&mut way, OPERATION, GENERATION, growing.clone())
        .await
        .unwrap();
    let Begun::Shipment(mut shipment) = begun else {
        panic!("nothing is there");
    };
    let mut all = Vec::new();
    for part in 0..4_u8 {
        all.extend(vec![part; 700_000]);
        std::fs::write(growing.join("pages-1.img"), &all).unwrap();
        let sent = shipment
            .carry(&mut way, &["pages-1.img".into()])
            .await
            .unwrap();
        assert_eq!(sent, 700_000);
    }
    let there = lab.target("ns/u1/g.incoming/pages-1.img");
    assert!(std::fs::read(there).unwrap() == all);
}

#[tokio::test]
async fn a_byte_that_is_spoilt_on_the_way_or_on_the_disk_is_sent_again() {
    let lab = Lab::new().await;
    let (_, _, text) = lab.sealed().sealed().unwrap();
    let mut way = lab.way();
    let mut shipment = begin(&lab, &mut way).await;
    shipment.carry(&mut way, &paths(&lab)).await.unwrap();
    let spoilt = lab.target("ns/u1/g.incoming/containers/web/images/pages-1.img");
    let byte = std::fs::read(&spoilt).unwrap()[1_234_567];
    let file = std::fs::File::options().write(true).open(&spoilt).unwrap();
    file.write_all_at(&[byte ^ 1], 1_234_567).unwrap();
    // A file system's clock may stand still from one write to the next.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
    file.set_modified(later).unwrap();
    let truncated = lab.target("ns/u1/g.incoming/volumes/cache.tar");
    std::fs::File::options()
        .write(true)
        .open(&truncated)
        .unwrap()
        .set_len(5)
        .unwrap();
    let Ended::Wrong(files) = shipment.end(&mut way, &text).await.unwrap() else {
        panic!("it is not as it says");
    };
    assert_eq!(
        files,
        ["containers/web/images/pages-1.img", "volumes/cache.tar"]
    );
    assert_eq!(lab.at_target().look().unwrap(), Found::Nothing);
    shipment.carry(&mut way, &files).await.unwrap();
    assert!(matches!(
        shipment.end(&mut way, &text).await.unwrap(),
        Ended::Verified(_)
    ));
    assert!(is_whole(&lab));
}

#[tokio::test]
async fn what_is_spoilt_on_the_sources_own_disk_never_becomes_a_state() {
    let lab = Lab::new().await;
    let (folder, ..) = lab.sealed().sealed().unwrap();
    std::fs::write(folder.join("criu.conf"), b"tcp-clove\n").unwrap();
    let failed = lab.way().send(OPERATION, &lab.sealed()).await.unwrap_err();
    let Failure::Ours(why) = failed else {
        panic!("{failed}");
    };
    assert!(why.contains("criu.conf"), "{why}");
    assert_eq!(lab.at_target().look().unwrap(), Found::Nothing);
}

#[tokio::test]
async fn no_other_state_than_the_expected_one_is_taken() {
    let lab = Lab::new().await;
    *lab.records.digest.lock().unwrap() = Some("sha256:other".into());
    let refused = lab.way().send(OPERATION, &lab.sealed()).await.unwrap_err();
    assert!(
        matches!(&refused, Failure::Refused(403, why) if why.contains("sha256:other")),
        "{refused}"
    );
    *lab.records.digest.lock().unwrap() = None;
    let (_, mut manifest, _) = lab.sealed().sealed().unwrap();
    manifest.uid = "u2".into();
    let text = serde_json::to_vec(&manifest).unwrap();
    let mut way = lab.way();
    let mut shipment = begin(&lab, &mut way).await;
    let refused = shipment.end(&mut way, &text).await.unwrap_err();
    assert!(
        matches!(&refused, Failure::Refused(403, why) if why.contains("u2")),
        "{refused}"
    );
    assert_eq!(lab.at_target().look().unwrap(), Found::Nothing);
}

#[tokio::test]
async fn more_than_was_announced_is_refused_and_leaves_nothing() {
    let lab = Lab::new().await;
    *lab.records.at_most.lock().unwrap() = Some(2 << 20);
    let refused = lab.way().send(OPERATION, &lab.sealed()).await.unwrap_err();
    assert!(matches!(refused, Failure::Refused(413, _)), "{refused}");
    assert!(!lab.target("ns/u1/g.incoming").exists());
}

/// A disk of two megabytes.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// None where this process may not mount.
    fn at(path: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=2m", "none"])
            .arg(path);
        mount.status().unwrap().success().then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("-l")
            .arg(self.0)
            .status()
            .unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_is_not_left_full() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may mount a small disk");
        return;
    }
    let folder = crate::testkit::folder::Folder::new();
    let root = folder.path().join("target");
    let _disk = SmallDisk::at(&root).unwrap();
    let lab = Lab::at(folder, root.clone()).await;
    let refused = lab.way().send(OPERATION, &lab.sealed()).await.unwrap_err();
    assert!(
        matches!(&refused, Failure::Refused(507, why) if why.contains("No space left")),
        "{refused}"
    );
    assert!(!lab.target("ns/u1/g.incoming").exists());
    assert_eq!(lab.at_target().look().unwrap(), Found::Nothing);
    lab.way().standing(OPERATION).await.unwrap();
    drop(lab);
}
