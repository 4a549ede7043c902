//! Real programs are moved between real nodes, and are what they were. Every run of the tests moves the quick ones;
//! `HOLDFAST_PROGRAMS=all` moves all of them, and a name moves that one alone. `docs/state.md` has the list, for people.

mod counting;
mod driver;
mod pods;
mod policies;
mod servers;
mod small;

use crate::protecting::protected_on;
use crate::world::{World, root};
use driver::{Program, goes};
use serde_json::json;
use std::path::Path;

/// Programs that need nothing but themselves.
const ALONE: [&Program; 7] = [
    &servers::POSTGRES,
    &servers::NGINX,
    &servers::INTERPRETER,
    &servers::MACHINE,
    &small::PROCESSES,
    &small::FILES,
    &small::MEMORY,
];

/// How often a pod goes there and back in a full run.
const TIMES: usize = 20;

fn is_full() -> bool {
    std::env::var("HOLDFAST_PROGRAMS").is_ok_and(|all| all == "all")
}

/// A protected world whose nodes have the programs' image.
fn world_with(name: &str, words: &[&str]) -> World {
    let world = protected_on(name, words);
    let images = world.command(&["images", "--programs"]);
    for image in images.lines() {
        assert!(Path::new(image).is_file(), "{image}");
        world.command(&["load", image]);
    }
    world
}

/// One alone, for whoever looks for what is wrong with it.
fn the_one() -> Option<&'static Program> {
    let called = std::env::var("HOLDFAST_PROGRAMS").ok()?;
    ALONE.into_iter().find(|program| program.name == called)
}

async fn all_of_them(world: &World) {
    servers::keeps_a_client(world).await;
    for program in ALONE {
        if program.is_quick || is_full() {
            goes(world, program).await;
        }
    }
}

/// What is around a program.
async fn pods_of_all_kinds(world: &World) {
    pods::goes_in_one_cut(world).await;
    pods::says_who_it_is(world).await;
    pods::is_a_pod_like_any(world).await;
    policies::is_refused_with_a_hook(world).await;
    policies::goes_back_with_a_sentence(world).await;
    policies::is_probed_all_the_while(
        world,
        "exec",
        &json!({ "exec": { "command": ["cat", "/own"] } }),
    )
    .await;
    policies::is_probed_all_the_while(world, "tcp", &json!({ "tcpSocket": { "port": 8000 } }))
        .await;
    policies::is_probed_all_the_while(
        world,
        "http",
        &json!({ "httpGet": { "port": 8000, "path": "/own" } }),
    )
    .await;
    if is_full() {
        policies::ends_by_its_policy(world, "Never").await;
        policies::ends_by_its_policy(world, "OnFailure").await;
        policies::goes_there_and_back(world, TIMES).await;
    }
}

#[tokio::test]
async fn programs_are_moved_on_containerd_1_7() {
    let world = world_with(
        "programs",
        &["--k8s", "1.35", "--runtime", "containerd-1.7"],
    );
    if let Some(program) = the_one() {
        goes(&world, program).await;
    } else {
        all_of_them(&world).await;
        pods_of_all_kinds(&world).await;
    }
    world.end();
}

#[tokio::test]
async fn programs_are_moved_on_containerd_2() {
    let world = world_with(
        "programs-2",
        &["--k8s", "1.36", "--runtime", "containerd-2"],
    );
    if let Some(program) = the_one() {
        goes(&world, program).await;
    } else if is_full() {
        all_of_them(&world).await;
        pods_of_all_kinds(&world).await;
    } else {
        servers::keeps_a_client(&world).await;
        goes(&world, &small::FILES).await;
    }
    world.end();
}

#[test]
fn the_page_lists_the_programs_that_are_moved() {
    let page = std::fs::read_to_string(root().join("docs/state.md")).unwrap();
    let (_, section) = page
        .split_once("### Programs that are moved in the tests\n")
        .unwrap();
    let section = section.split("\n#").next().unwrap();
    let listed: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let mut all = vec![&servers::REDIS];
    all.extend(ALONE);
    let rows: Vec<String> = all
        .iter()
        .map(|program| {
            let when = if program.is_quick {
                "always"
            } else {
                "in full"
            };
            format!("| `{}` | {} | {when} |", program.name, program.keeps)
        })
        .collect();
    assert_eq!(listed, rows, "the rows should be:\n{}", rows.join("\n"));
}
