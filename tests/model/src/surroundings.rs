//! What is around the plans: kubelets, owners, time, and everything that goes wrong.

use crate::agents::{claim, name};
use crate::leader::{delete, is_alone};
use crate::model::{CONTAINER, Model, Nexts, OLDER, POD};
use crate::world::{
    Api, CONTAINERS, Evidence, Live, Order as Object, Origin, Place, Pod, SOURCE, TARGET, TARGETS,
    World,
};
use holdfast::agent::api::Order;
use holdfast::hold::record::What;
use holdfast::hold::signal::{Signalled, signal};

const NODES: [&str; 2] = ["node s", "node t"];
const AGENTS: [&str; 2] = ["agent s", "agent t"];

fn who(place: Place, container: usize) -> &'static str {
    match place {
        Place::Source => ["a of s", "b of s"][container],
        Place::Target(at) => [
            ["a of u1", "b of u1"],
            ["a of u2", "b of u2"],
            ["a of u3", "b of u3"],
        ][at][container],
    }
}

fn places() -> impl Iterator<Item = Place> {
    std::iter::once(Place::Source).chain((0..TARGETS).map(Place::Target))
}

fn origin(what: &What) -> Origin {
    match what {
        What::Fresh => Origin::Fresh,
        What::Generation(name) if name == OLDER => Origin::Older,
        What::Generation(_) => Origin::Generation,
    }
}

impl Model {
    pub fn nexts(&mut self, world: World, nexts: &mut Nexts) {
        self.leaders(world, nexts);
        self.source_agent(world, nexts);
        self.guard(world, nexts);
        self.target_agent(world, nexts);
        for place in places() {
            self.kubelet(world, place, nexts);
        }
        self.owner(world, nexts);
        self.repairs(world, nexts);
    }

    fn kubelet(&mut self, world: World, place: Place, nexts: &mut Nexts) {
        if !world.is_up[world.node(place)] {
            return;
        }
        for at in 0..CONTAINERS {
            self.create(world, place, (at, who(place, at)), nexts);
            if world.pod(place).live[at] == Live::Beginning {
                self.begins(world, place, at, nexts);
            }
        }
        if world.api(place) == Api::Terminating {
            self.ends(world, place, nexts);
        }
    }

    /// A restore that is on its way comes to an end.
    fn begins(&mut self, world: World, place: Place, at: usize, nexts: &mut Nexts) {
        let record = self.records.get(world.pod(place).record);
        let what = record.admission.as_ref().and_then(|a| a.what.clone());
        // The image was given to it when it began; what its record says by now does not call it back.
        let from = what.as_ref().map_or(Origin::Generation, origin);
        let mut next = world;
        let claim = claim(self, &world, place);
        let wrong = next.run(place, at, from, claim);
        nexts.judged((who(place, at), "runs"), next, wrong);
    }

    /// A pod that is being deleted: the kubelet kills it, and it goes.
    fn ends(&mut self, world: World, place: Place, nexts: &mut Nexts) {
        let pod = world.pod(place);
        let mut next = world;
        let is_left = pod.any(Live::Running) || pod.any(Live::Frozen);
        if is_left {
            let record = self.records.get(pod.record);
            if let Signalled::Pass | Signalled::Kill = signal(record, "KILL", CONTAINER[0]) {
                for live in &mut next.pod_mut(place).live {
                    if *live != Live::Beginning {
                        *live = Live::Nothing;
                    }
                }
                nexts.add((name(place), "is killed by the kubelet"), next);
            }
            return;
        }
        // What only begins is in the attempt's cgroup, which the kubelet does not know.
        match place {
            Place::Source => next.source_pod = Api::Gone,
            Place::Target(at) => next.pods[at] = Api::Gone,
        }
        nexts.add((name(place), "is gone from the API"), next);
    }

    /// ReplicaSet, StatefulSet, or the leader for a bare pod: there is to be one pod.
    fn owner(&mut self, world: World, nexts: &mut Nexts) {
        let is_counted = world.source_pod.is_alive() && !world.is_detached;
        let others = world.pods.iter().position(|pod| pod.is_alive());
        let mut next = world;
        if let (true, Some(at)) = (is_counted, others) {
            let runs = world.targets[at].any(Live::Running);
            delete(if runs {
                &mut next.source_pod
            } else {
                &mut next.pods[at]
            });
            nexts.add(("its owner", "deletes one too many"), next);
            return;
        }
        let is_free = match self.scope.order {
            Order::PrepareFirst => others.is_none(),
            Order::FreezeFirst => {
                !self.scope.is_bare
                    && world.source_pod == Api::Gone
                    && !world.pods.iter().any(|pod| pod.exists())
            }
        };
        let unmade = world.pods.iter().position(|pod| *pod == Api::Unmade);
        if let (false, true, Some(at)) = (is_counted, is_free, unmade) {
            next.pods[at] = Api::Gated;
            nexts.add((POD[at], "is made by its owner"), next);
        }
    }

    fn repairs(&mut self, world: World, nexts: &mut Nexts) {
        for node in [SOURCE, TARGET] {
            let mut next = world;
            if !world.is_up[node] {
                next.is_up[node] = true;
                next.has_agent[node] = true;
                next.has_proof &= node != TARGET;
                nexts.add((NODES[node], "is back"), next);
            } else if !world.has_agent[node] {
                next.has_agent[node] = true;
                nexts.add((AGENTS[node], "is back"), next);
            }
        }
        let mut next = world;
        if world.migration == Object::Gone {
            let is_owned =
                !is_alone(self.specs.get(world.spec[SOURCE])) || !world.source_pod.exists();
            for node in [SOURCE, TARGET] {
                if node == TARGET || is_owned {
                    (next.spec[node], next.report[node]) = (0, 0);
                }
            }
            if next != world {
                nexts.add(("what they owned", "is collected"), next);
            }
        }
        // A node that is known to be off: its pods are taken from the API.
        if world.has_proof {
            for at in 0..TARGETS {
                if world.pods[at] == Api::Terminating {
                    let mut next = world;
                    next.pods[at] = Api::Gone;
                    nexts.add((POD[at], "is taken from the API"), next);
                }
            }
        }
    }

    pub fn faults(&mut self, world: World, nexts: &mut Nexts) {
        if self.scope.has_held_leader {
            self.hold_leader(world, nexts);
        }
        for node in [SOURCE, TARGET] {
            let mut next = world;
            if world.has_agent[node] {
                next.has_agent[node] = false;
                forget(&mut next, node);
                nexts.fault((AGENTS[node], "dies"), next);
            }
            if world.is_up[node] {
                nexts.fault((NODES[node], "dies"), power_off(world, node));
            }
            if world.spec[node] != 0 {
                let mut next = world;
                (next.spec[node], next.report[node]) = (0, 0);
                nexts.fault((NODES[node], "loses its StateTask"), next);
            }
        }
        self.of_objects(world, nexts);
        of_containers(world, nexts);
        for at in 0..=TARGETS {
            if world.sent[at] {
                let mut next = world;
                next.sent[at] = false;
                nexts.fault(("the release", "is lost"), next);
            }
        }
    }

    fn of_objects(&mut self, world: World, nexts: &mut Nexts) {
        let mut next = world;
        if world.source_pod == Api::Bound && world.migration != Object::Gone {
            delete(&mut next.source_pod);
            next.is_deleted[SOURCE] = true;
            nexts.fault(("s", "is deleted by the user"), next);
        }
        for at in 0..TARGETS {
            if world.pods[at].is_alive() && world.migration != Object::Gone {
                let mut next = world;
                delete(&mut next.pods[at]);
                next.is_deleted[TARGET] = true;
                next.is_target_hurt = true;
                nexts.fault((POD[at], "is deleted by the user"), next);
            }
        }
        if world.migration == Object::Here {
            let mut next = world;
            next.migration = Object::Deleting;
            nexts.fault(("the user", "cancels"), next);
        }
        if world.migration != Object::Gone && world.status != 0 {
            let mut next = world;
            next.migration = Object::Gone;
            next.is_migration_lost = true;
            nexts.fault(("the Migration", "is lost"), next);
        }
        self.late_leader(world, nexts);
        if !world.is_up[TARGET] && !world.has_proof {
            let mut next = world;
            next.has_proof = true;
            nexts.fault(("node t", "is called out of service"), next);
        }
    }
}

/// What an agent had only in its memory.
fn forget(world: &mut World, node: usize) {
    if node == SOURCE {
        (world.ready, world.has_criu_died) = (None, false);
    } else {
        world.is_asked = [false; TARGETS];
    }
}

fn power_off(world: World, node: usize) -> World {
    let mut next = world;
    forget(&mut next, node);
    (next.is_up[node], next.has_agent[node]) = (false, false);
    next.boot[node] += 1;
    for place in places().filter(|place| world.node(*place) == node) {
        let pod: &mut Pod = next.pod_mut(place);
        pod.live = [Live::Nothing; 2];
        // What the runtime wrote last may not have reached the disk: it may say that nothing ran.
        for evidence in &mut pod.evidence {
            if *evidence == Evidence::Ran {
                *evidence = Evidence::NeverRan;
            }
        }
    }
    next.is_target_hurt |= node == TARGET;
    if node == SOURCE {
        next.is_guarded = false;
        next.is_guard_sure = false;
    }
    next
}

fn of_containers(world: World, nexts: &mut Nexts) {
    // CRIU dies on the container that it dumps: that one runs on.
    let dumping = world.dumped.iter().position(|dumped| !dumped);
    if let (true, Some(at)) = (world.is_cut_begun && world.has_agent[SOURCE], dumping)
        && world.source.live[at] == Live::Frozen
    {
        let mut next = world;
        next.source.live[at] = Live::Running;
        next.is_stale = true;
        next.has_criu_died = true;
        nexts.fault(
            (who(Place::Source, at), "runs on, as CRIU dies on it"),
            next,
        );
    }
    for place in places() {
        for at in 0..CONTAINERS {
            let mut next = world;
            next.is_target_hurt |= place != Place::Source;
            let pod: &mut Pod = next.pod_mut(place);
            match pod.live[at] {
                Live::Beginning => {
                    pod.live[at] = Live::Nothing;
                    nexts.fault((who(place, at), "is not restored"), next);
                }
                Live::Running => {
                    pod.live[at] = Live::Nothing;
                    nexts.fault((who(place, at), "exits"), next);
                    if place != Place::Source {
                        next.pod_mut(place).evidence[at] = Evidence::Nothing;
                        nexts.fault(
                            (who(place, at), "exits, and nothing is left to show it"),
                            next,
                        );
                    }
                }
                Live::Nothing | Live::Frozen => {}
            }
        }
    }
}
