//! What leads a manager to each of its writes about shares, on real nodes: pods to be resized, one to be made anew, and a DaemonSet
//! whose template is missing.

use crate::resizing::{
    EXACT, apply, are_all_sized, begin, daemonset, pods, running, says, template, uids,
};
use crate::world::World;

/// DaemonSets that shares are for, and what their pods were before a round.
pub(super) struct Shares {
    round: usize,
    best: Vec<String>,
}

impl Shares {
    pub(super) async fn new(world: &World) -> Self {
        begin(world);
        for (name, resources) in [("exact", EXACT), ("best", "{}"), ("lost", "{}")] {
            apply(world, &daemonset(name, resources, ""));
        }
        for name in ["exact", "best", "lost"] {
            running(world, name).await;
        }
        Self {
            round: 0,
            best: Vec::new(),
        }
    }

    pub(super) fn clean(world: &World) {
        world.kubectl("delete fdt/exact fdt/best --ignore-not-found --timeout=60s");
    }

    /// Another share in each round: the pods have the former one.
    pub(super) async fn provoke(&mut self, world: &World) {
        self.best = uids(&running(world, "best").await);
        self.round += 1;
        let percent = 2 + self.round % 5;
        let share = format!("cpuPercentage: {percent}, memoryPercentage: 1");
        apply(world, &template("exact", &format!("{{{share}, wave: 1}}")));
        apply(
            world,
            &template("best", &format!("{{{share}, repair: Recreate}}")),
        );
    }

    /// Whoever came next has finished, and no second pod was deleted.
    pub(super) async fn are_finished(&self, world: &World, point: &str) {
        says(world, "exact", point, are_all_sized).await;
        says(world, "best", point, |status| {
            status["pods"]["total"] == self.best.len()
        })
        .await;
        let now = uids(&pods(world, "best"));
        let kept = self.best.iter().filter(|uid| now.contains(uid)).count();
        assert!(
            kept + 1 >= self.best.len(),
            "{point}: {:?} became {now:?}",
            self.best
        );
    }
}
