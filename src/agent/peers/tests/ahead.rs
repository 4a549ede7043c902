//! A state is sent while it is dumped.

use super::lab::{GENERATION, Lab, OPERATION};
use crate::agent::peers::way::Failure;
use crate::agent::store::ahead::Ahead;
use crate::agent::store::manifest::Manifest;
use crate::agent::store::{Generation, Noted, only_grows};
use std::fs::OpenOptions;
use std::io::Write;
use tokio_util::sync::CancellationToken;

pub(super) const MEMORY: &str = "containers/web/images/pages-1.img";

pub(super) fn part(lab: &Lab) -> Generation {
    let root = lab.folder.path().join("dumping");
    let generation = Generation::of(&root, ("ns", "u1"), GENERATION).unwrap();
    generation.begin().unwrap();
    grow(&generation, MEMORY, 0);
    generation
}

fn grow(generation: &Generation, name: &str, bytes: usize) {
    let path = generation.part().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    let noise = (0..bytes).map(|at| (at.wrapping_mul(at) >> 7).to_le_bytes()[0]);
    file.write_all(&noise.collect::<Vec<_>>()).unwrap();
}

/// All of it is dumped, and has its digests.
pub(super) fn noted(generation: &Generation, ahead: Ahead) -> Noted {
    grow(generation, "containers/web/images/core-1.img", 100);
    let manifest = Manifest {
        operation: OPERATION.into(),
        ..Manifest::of_web()
    };
    generation.cut(&manifest).unwrap();
    generation.note(manifest, Some(ahead)).unwrap()
}

/// It gets its name, and is the same on both nodes.
pub(super) fn are_equal(lab: &Lab, source: &Generation) {
    source.settle().unwrap();
    source.name_it().unwrap();
    let (here, manifest, text) = source.sealed().unwrap();
    let (there, _, text_there) = lab.at_target().sealed().unwrap();
    assert_eq!(text, text_there);
    for file in &manifest.files {
        let [one, other] = [&here, &there].map(|at| std::fs::read(at.join(&file.path)).unwrap());
        assert!(one == other, "{}", file.path);
    }
}

#[tokio::test]
async fn what_grows_is_there_before_it_is_sealed_and_is_not_sent_again() {
    let lab = Lab::new().await;
    let (generation, is_over) = (part(&lab), CancellationToken::new());
    let mut way = lab.way();
    let mut ahead = Ahead::of(generation.part());
    let there = lab.at_target().incoming().join(MEMORY);
    let dumping = async {
        for size in [5 << 19, 3 << 20, 1000] {
            grow(&generation, MEMORY, size);
            ahead.catch_up(only_grows).unwrap();
            let length = || std::fs::metadata(&there).map_or(0, |about| about.len());
            let before = length();
            // The last part is too small to be sent before it is over.
            while size > 1000 && length() == before {
                tokio::task::yield_now().await;
            }
        }
        is_over.cancel();
    };
    let (begun, ()) = tokio::join!(
        way.send_ahead(OPERATION, &generation, None, &is_over),
        dumping
    );
    let all = std::fs::metadata(generation.part().join(MEMORY))
        .unwrap()
        .len();
    assert_eq!(std::fs::metadata(&there).unwrap().len(), all);
    let noted = noted(&generation, ahead);
    let sent = way
        .send_on((OPERATION, GENERATION), &noted, Some(begun.unwrap()))
        .await;
    assert_eq!(sent.unwrap().bytes, 100);
    are_equal(&lab, &generation);
    assert!(!lab.at_target().incoming().exists());
}

#[tokio::test]
async fn what_was_cut_while_it_was_dumped_is_sent_when_it_has_its_digests() {
    let lab = Lab::new().await;
    let (generation, is_over) = (part(&lab), CancellationToken::new());
    grow(&generation, MEMORY, 6 << 20);
    is_over.cancel();
    lab.cut_after(100_000);
    let mut way = lab.way();
    let begun = way.send_ahead(OPERATION, &generation, None, &is_over).await;
    assert!(matches!(begun, Err(Failure::Away(_))), "it was cut");
    let noted = noted(&generation, Ahead::of(generation.part()));
    let whole = (OPERATION, GENERATION);
    way.send_on(whole, &noted, None).await.unwrap();
    are_equal(&lab, &generation);
}

#[tokio::test]
async fn what_changed_after_it_was_sent_is_found_and_sent_again() {
    let lab = Lab::new().await;
    let (generation, is_over) = (part(&lab), CancellationToken::new());
    grow(&generation, MEMORY, 3 << 20);
    is_over.cancel();
    let mut way = lab.way();
    let begun = way
        .send_ahead(OPERATION, &generation, None, &is_over)
        .await
        .unwrap();
    // Not what anybody does; and if somebody did, it would not be the state.
    let path = generation.part().join(MEMORY);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1 << 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let noted = noted(&generation, Ahead::of(generation.part()));
    let sent = way
        .send_on((OPERATION, GENERATION), &noted, Some(begun))
        .await
        .unwrap();
    assert_eq!(sent.bytes, 100 + (3 << 20));
    are_equal(&lab, &generation);
}
