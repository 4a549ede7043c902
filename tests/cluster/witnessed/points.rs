//! Which points lie on the way of a move: what brings it there, which program passes it, and on which of the two nodes.

use super::lab::Program;
use super::objects::Owner;
use crate::world::succeed;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The node that the pod leaves, or the one that it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Source,
    Target,
}

/// What makes a program pass a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// A pod moves.
    Moves,
    /// The same, and it has been restored before: of others the runtime keeps no evidence.
    Again,
    /// The same, and the container on the target waits already when the point is armed: a sandbox passes it too, and earlier.
    Waits,
    /// The same, and the agent is a new one: it passes the point when it starts.
    Starts,
    /// A Migration is deleted while the pod is frozen.
    Cancelled,
    /// What came to the target cannot be restored.
    Broken,
    /// A pod that nobody owns moves.
    Bare,
}

impl Way {
    pub(super) fn owner(self) -> Owner {
        if self == Self::Bare {
            Owner::Nobody
        } else {
            Owner::Deployment
        }
    }
}

use Program::{Agent, Runtime};
use Side::{Source, Target};

/// Both points of each.
const ON_THE_WAY: &[(&str, Way, Program, Side)] = &[
    ("hold.shelf.hold", Way::Moves, Agent, Source),
    ("hold.shelf.release", Way::Moves, Agent, Source),
    ("hold.shelf.supersede", Way::Moves, Agent, Source),
    ("hold.shelf.kill", Way::Moves, Agent, Source),
    ("hold.shelf.forget", Way::Moves, Agent, Source),
    ("hold.shelf.open", Way::Moves, Agent, Target),
    ("hold.shelf.claim", Way::Moves, Agent, Target),
    ("hold.shelf.begin", Way::Moves, Agent, Target),
    ("hold.shelf.done", Way::Moves, Agent, Target),
    ("oci.cgroups.kill.freeze", Way::Moves, Agent, Source),
    ("oci.cgroups.kill.signal", Way::Moves, Agent, Source),
    ("agent.hands.guard", Way::Moves, Agent, Source),
    ("agent.hands.freeze", Way::Moves, Agent, Source),
    ("agent.hands.dump", Way::Moves, Agent, Source),
    ("agent.hands.seal", Way::Moves, Agent, Source),
    ("agent.hands.source.copy", Way::Moves, Agent, Source),
    ("agent.hands.source.release", Way::Moves, Agent, Source),
    ("agent.hands.source.kill", Way::Moves, Agent, Source),
    ("agent.answers.admitted.take_in", Way::Moves, Agent, Target),
    ("agent.preparing.fill", Way::Moves, Agent, Target),
    ("agent.preparing.layer", Way::Moves, Agent, Target),
    ("agent.store.incoming.keep", Way::Moves, Agent, Target),
    ("agent.store.release.released", Way::Moves, Agent, Target),
    ("agent.tasks.pass.status", Way::Moves, Agent, Source),
    ("agent.tasks.pass.status", Way::Moves, Agent, Target),
    ("agent.peers.certificate.ask", Way::Starts, Agent, Source),
    ("agent.peers.certificate.ask", Way::Starts, Agent, Target),
    ("runtime.create.place", Way::Moves, Runtime, Target),
    ("runtime.asking.question", Way::Moves, Runtime, Target),
    ("runtime.asking.answer", Way::Waits, Runtime, Target),
    ("runtime.create.ticket", Way::Moves, Runtime, Target),
    ("runtime.delete.evidence", Way::Again, Runtime, Source),
    ("runtime.delete.forget", Way::Moves, Runtime, Source),
    ("hold.shelf.withdraw", Way::Cancelled, Agent, Source),
    ("hold.shelf.thaw", Way::Cancelled, Agent, Source),
    ("hold.shelf.end", Way::Cancelled, Agent, Source),
    ("agent.hands.thaw", Way::Cancelled, Agent, Source),
    ("hold.shelf.fail", Way::Broken, Agent, Target),
    ("hold.shelf.revoke", Way::Broken, Agent, Target),
    ("hold.shelf.return", Way::Broken, Agent, Source),
    ("hold.shelf.hold", Way::Bare, Agent, Source),
    ("hold.shelf.supersede", Way::Bare, Agent, Source),
    ("hold.shelf.kill", Way::Bare, Agent, Source),
    ("agent.hands.source.copy", Way::Bare, Agent, Source),
    ("agent.hands.source.release", Way::Bare, Agent, Source),
    ("agent.hands.source.kill", Way::Bare, Agent, Source),
    ("agent.store.release.released", Way::Bare, Agent, Target),
    ("hold.shelf.open", Way::Bare, Agent, Target),
    ("hold.shelf.claim", Way::Bare, Agent, Target),
    ("hold.shelf.begin", Way::Bare, Agent, Target),
];

/// The same, where it becomes another program: what stands behind that is reached only if it could not.
const NEVER_BACK: &[(&str, Way, Program, Side)] = &[
    ("runtime.create.create.before", Way::Moves, Runtime, Target),
    ("runtime.create.restore.before", Way::Moves, Runtime, Target),
];

/// Points of what runs on nodes that no move passes, or not alone, and where they are visited or why not.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "hold.shelf.note.",
        "a fresh start; checkpointing and the tests of the shelf",
    ),
    (
        "hold.shelf.retarget.",
        "a pod on the target that was deleted after the freeze; the model",
    ),
    (
        "hold.shelf.wish.",
        "a signal for what is held; the tests of the runtime",
    ),
    (
        "hold.shelf.damage.",
        "CRIU is killed: `tests/moving/killed.rs`; the model",
    ),
    (
        "hold.shelf.home.",
        "it died frozen, and starts again from what was dumped; the model",
    ),
    (
        "hold.shelf.again.",
        "one of two containers was restored, and the other not; the model",
    ),
    ("agent.hands.fail.", "a Checkpoint; checkpointing/dying.rs"),
    (
        "agent.hands.forget.",
        "a Checkpoint; checkpointing/dying.rs",
    ),
    (
        "runtime.create.no_op.",
        "needs a program without a C library, which the tests' own is not; the tests of the runtime do it whole",
    ),
    (
        "runtime.create.create.after",
        "only if the real runtime could not be run",
    ),
    (
        "runtime.create.restore.after",
        "only if the real runtime could not be run",
    ),
    (
        "agent.holds.",
        "a hold that nobody orders; the agent's own tests do it whole, and no test dies there",
    ),
    ("runtime.guard.", "its agent is gone; see `faults.rs` here"),
];

/// One death.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Visit {
    pub(super) point: String,
    pub(super) way: Way,
    pub(super) program: Program,
    pub(super) side: Side,
}

impl Visit {
    /// As the ledger has it.
    pub(super) fn title(&self) -> String {
        format!(
            "{} {:?} {:?} {:?}",
            self.point, self.way, self.program, self.side
        )
    }
}

/// All deaths, in the order of the tables.
pub(super) fn all() -> Vec<Visit> {
    let sides = |(step, way, program, side): &(&str, Way, Program, Side)| {
        ["before", "after"].map(|when| Visit {
            point: format!("{step}.{when}"),
            way: *way,
            program: *program,
            side: *side,
        })
    };
    let whole = ON_THE_WAY.iter().flat_map(sides);
    let before = NEVER_BACK.iter().map(|(point, way, program, side)| Visit {
        point: (*point).to_owned(),
        way: *way,
        program: *program,
        side: *side,
    });
    // Where the kernel kills a cgroup by itself there is nothing in between.
    let is_unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let is_passed = |visit: &Visit| !(is_unified && visit.point.starts_with("oci.cgroups.kill."));
    whole.chain(before).filter(is_passed).collect()
}

#[test]
fn every_point_of_a_node_is_on_the_way_of_a_move_or_visited_elsewhere() {
    let printed = succeed(Command::new(env!("CARGO_BIN_EXE_holdfast")).arg("faults"));
    let of_nodes = ["agent.", "hold.", "oci.", "runtime."];
    let is_of_nodes = |point: &&str| of_nodes.iter().any(|module| point.starts_with(module));
    let there_are: BTreeSet<_> = printed.lines().filter(is_of_nodes).collect();
    let visits = all();
    let visited: BTreeSet<_> = visits.iter().map(|visit| visit.point.as_str()).collect();
    let is_elsewhere = |point: &str| ELSEWHERE.iter().any(|(one, _)| point.starts_with(one));
    for point in &there_are {
        let places = usize::from(visited.contains(point)) + usize::from(is_elsewhere(point));
        assert_eq!(places, 1, "{point} has to stand in one of the lists above");
    }
    let unknown: Vec<_> = visited.difference(&there_are).collect();
    assert!(unknown.is_empty(), "there are no such points: {unknown:?}");
    for (one, _) in ELSEWHERE {
        assert!(
            there_are.iter().any(|point| point.starts_with(one)),
            "there is no {one}"
        );
    }
}
