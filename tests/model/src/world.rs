//! A whole cluster, as small as it can be: two nodes, a pod of two containers, and up to three pods that are to get its state. What
//! never happens is checked at the one place where a container begins to run.

use crate::intern::Id;

/// How many containers a pod has.
pub const CONTAINERS: usize = 2;
/// How many pods may be made, one after the other, to get the state.
pub const TARGETS: usize = 3;
/// The nodes.
pub const SOURCE: usize = 0;
pub const TARGET: usize = 1;

/// The Migration object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    Here,
    Deleting,
    Gone,
}

/// A pod in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// It was never made.
    Unmade,
    Gated,
    Bound,
    Terminating,
    Gone,
}

impl Api {
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Gated | Self::Bound)
    }

    pub fn exists(self) -> bool {
        self.is_alive() || self == Self::Terminating
    }
}

/// A container's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Live {
    Nothing,
    Beginning,
    Running,
    Frozen,
}

/// What the runtime's own state says of a container that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Evidence {
    Nothing,
    NeverRan,
    Ran,
}

/// Where what runs, or ran last in this attempt, came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It did not run here in this attempt.
    Nothing,
    /// It was here before the Migration.
    Own,
    Generation,
    Older,
    Fresh,
}

/// A pod on its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pod {
    /// The node's record of it, on disk.
    pub record: Id,
    pub live: [Live; CONTAINERS],
    pub evidence: [Evidence; CONTAINERS],
    pub origin: [Origin; CONTAINERS],
}

impl Pod {
    pub fn any(&self, live: Live) -> bool {
        self.live.contains(&live)
    }

    pub fn all(&self, live: Live) -> bool {
        self.live.iter().all(|is| *is == live)
    }

    /// Every process dies at once.
    pub fn kill(&mut self) {
        for (live, evidence) in self.live.iter_mut().zip(&mut self.evidence) {
            if *live == Live::Beginning {
                *evidence = Evidence::NeverRan;
            }
            *live = Live::Nothing;
        }
    }
}

/// Everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    // The API.
    pub status: Id,
    pub migration: Order,
    pub source_pod: Api,
    pub is_detached: bool,
    pub pods: [Api; TARGETS],
    /// They are on the source's node: the state went back there.
    pub is_home_bound: [bool; TARGETS],
    pub spec: [Id; 2],
    pub report: [Id; 2],
    pub has_proof: bool,
    // Nodes and agents.
    pub is_up: [bool; 2],
    pub has_agent: [bool; 2],
    pub boot: [u8; 2],
    // The source's node.
    pub source: Pod,
    pub is_cut_begun: bool,
    pub dumped: [bool; CONTAINERS],
    pub is_guarded: bool,
    /// The guard saw its deadline pass with nothing released, and is about to withdraw.
    pub is_guard_sure: bool,
    /// What the agent remembers: CRIU died; the target waits for this pod, in this attempt.
    pub has_criu_died: bool,
    pub ready: Option<(u8, u8)>,
    // The target's node.
    pub is_verified: bool,
    /// The release on its way, and there: for each pod, and for anybody.
    pub sent: [bool; TARGETS + 1],
    pub released: [bool; TARGETS + 1],
    pub targets: [Pod; TARGETS],
    pub is_asked: [bool; TARGETS],
    // A leader that saw the world as it was, and goes on from there.
    pub held: Id,
    pub held_at: u8,
    // What only we know.
    /// The source ran after its dump began: what was dumped is not the last that there was.
    pub is_stale: bool,
    /// Its record says that it was thawed, or is about to be: what dies from now on may have run.
    pub is_thaw_begun: bool,
    /// It was restored where it was.
    pub is_home: bool,
    /// The target ran.
    pub has_target_run: bool,
    /// The user deleted the source, the target.
    pub is_deleted: [bool; 2],
    pub is_migration_lost: bool,
    /// Something of a target was hurt: its node, its pod, its containers.
    pub is_target_hurt: bool,
}

/// What must never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// The source and the target run, or one after the other from the same state.
    Two,
    /// It runs from a state that is not its last.
    Rewound,
    /// A container is restored twice in one attempt.
    Twice,
    /// Containers of one pod run from different states.
    Mixed,
    /// A state is there, and it starts without one.
    Fresh,
    /// It starts fresh in a pod that was prepared for a state.
    Unprepared,
    /// Nothing will ever run, and nothing is left, or somebody stays frozen.
    Stuck,
    /// Without its agent, something stays frozen.
    Frozen,
}

/// Where a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Source,
    Target(usize),
}

/// What the record of the pod says when a container of it begins.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// The source came back although its target may have run: a failover.
    pub is_failover: bool,
    /// Its containers were to be restored, or started fresh by decision.
    pub is_claimed_fresh: bool,
    pub is_prepared: bool,
}

impl World {
    pub fn is_cut_whole(&self) -> bool {
        self.dumped.iter().all(|dumped| *dumped)
    }

    pub fn pod(&self, place: Place) -> &Pod {
        match place {
            Place::Source => &self.source,
            Place::Target(at) => &self.targets[at],
        }
    }

    pub fn pod_mut(&mut self, place: Place) -> &mut Pod {
        match place {
            Place::Source => &mut self.source,
            Place::Target(at) => &mut self.targets[at],
        }
    }

    pub fn node(&self, place: Place) -> usize {
        match place {
            Place::Target(at) if !self.is_home_bound[at] => TARGET,
            Place::Source | Place::Target(_) => SOURCE,
        }
    }

    pub fn api(&self, place: Place) -> Api {
        match place {
            Place::Source => self.source_pod,
            Place::Target(at) => self.pods[at],
        }
    }

    /// A container begins to run. Everything that must not be is seen here.
    pub fn run(
        &mut self,
        place: Place,
        container: usize,
        origin: Origin,
        claim: Claim,
    ) -> Option<Wrong> {
        let wrong = self.judge(place, container, origin, claim);
        let pod = self.pod_mut(place);
        pod.live[container] = Live::Running;
        pod.evidence[container] = Evidence::Ran;
        // A crash before anything was held, or after it is over, is none of our business.
        let is_crash = place == Place::Source && origin == Origin::Fresh && !claim.is_claimed_fresh;
        pod.origin[container] = if is_crash { Origin::Own } else { origin };
        match place {
            Place::Source if origin == Origin::Generation => self.is_home = true,
            Place::Source => self.is_stale |= self.is_cut_begun,
            Place::Target(_) => self.has_target_run = true,
        }
        wrong
    }

    fn judge(&self, place: Place, container: usize, origin: Origin, claim: Claim) -> Option<Wrong> {
        let runs_elsewhere = self
            .targets
            .iter()
            .enumerate()
            .any(|(at, pod)| place != Place::Target(at) && pod.any(Live::Running));
        let is_two = match place {
            Place::Source => runs_elsewhere || (self.has_target_run && !claim.is_failover),
            Place::Target(_) => {
                runs_elsewhere || self.source.any(Live::Running) || claim.is_failover
            }
        };
        let pod = self.pod(place);
        let other = pod.origin[1 - container];
        let is_restore = matches!(origin, Origin::Generation | Origin::Older);
        let was_claimed = is_restore || claim.is_claimed_fresh;
        if is_two {
            return Some(Wrong::Two);
        }
        let is_old = self.is_stale || (self.is_home && place != Place::Source);
        if origin == Origin::Generation && is_old {
            return Some(Wrong::Rewound);
        }
        match place {
            Place::Target(_)
                if pod.origin[container] != Origin::Nothing && !claim.is_claimed_fresh =>
            {
                return Some(Wrong::Twice);
            }
            Place::Target(_) if origin == Origin::Fresh && !claim.is_claimed_fresh => {
                return Some(Wrong::Fresh);
            }
            Place::Source
                if origin == Origin::Fresh
                    && self.is_cut_whole()
                    && !self.is_stale
                    && !self.is_thaw_begun
                    && !self.is_home
                    && !claim.is_claimed_fresh =>
            {
                return Some(Wrong::Fresh);
            }
            _ => {}
        }
        if origin == Origin::Fresh && claim.is_prepared {
            return Some(Wrong::Unprepared);
        }
        let is_mixed = was_claimed
            && other != Origin::Nothing
            && other != origin
            && (pod.live[1 - container] == Live::Running || place != Place::Source);
        is_mixed.then_some(Wrong::Mixed)
    }
}
