//! Breadth first through everything that may happen, up to a number of faults; and back from all good ends, so that whoever cannot
//! reach one is found.

use crate::intern::Quick;
use crate::model::{Label, Model, Nexts, Scope};
use crate::world::{Api, Live, Order as Object, SOURCE, World, Wrong};
use holdfast::hold::record::HoldState;

/// What was found.
pub struct Found {
    pub states: usize,
    pub wrong: Option<(Wrong, Vec<String>)>,
}

struct Search {
    model: Model,
    worlds: Vec<World>,
    ids: Quick<World, u32>,
    /// From where each was reached first, and by what.
    came: Vec<(u32, Label, bool)>,
    /// What may happen without a fault.
    edges: Vec<(u32, u32, bool)>,
}

/// Explores a scope.
pub fn explore(scope: Scope) -> Found {
    let mut model = Model::new(scope);
    let start = model.start();
    let mut search = Search {
        model,
        worlds: vec![start],
        ids: std::iter::once((start, 0)).collect(),
        came: vec![(0, ("", ""), false)],
        edges: Vec::new(),
    };
    let wrong = search.forward().or_else(|| search.backward());
    Found {
        states: search.worlds.len(),
        wrong,
    }
}

impl Search {
    fn forward(&mut self) -> Option<(Wrong, Vec<String>)> {
        let mut at = 0;
        let mut nexts = Nexts::default();
        while at < self.worlds.len() {
            let from = u32::try_from(at).expect("fewer than 2^32 states");
            self.model.nexts(self.worlds[at], &mut nexts);
            for mut next in nexts.0.drain(..) {
                if self.model.scope.is_quick {
                    self.model.hurry(&mut next.world);
                }
                if let Some(wrong) = next.wrong {
                    let mut story = self.story(from);
                    story.push(format!("{}: {}", next.what.0, next.what.1));
                    return Some((wrong, story));
                }
                let id = self.id(next.world, (from, next.what, next.is_fault));
                if !next.is_fault {
                    let by_agent = next.what == ("agent s", "is back");
                    self.edges.push((from, id, by_agent));
                }
            }
            at += 1;
        }
        None
    }

    fn id(&mut self, world: World, came: (u32, Label, bool)) -> u32 {
        if let Some(id) = self.ids.get(&world) {
            return *id;
        }
        let id = u32::try_from(self.worlds.len()).expect("fewer than 2^32 states");
        self.ids.insert(world, id);
        self.worlds.push(world);
        self.came.push(came);
        id
    }

    fn story(&self, mut at: u32) -> Vec<String> {
        let mut story = Vec::new();
        while at != 0 {
            let (from, (who, what), is_fault) = self.came[at as usize];
            story.push(format!("{}{who}: {what}", if is_fault { "! " } else { "" }));
            at = from;
        }
        story.reverse();
        story
    }

    fn backward(&self) -> Option<(Wrong, Vec<String>)> {
        let good = |at: usize| is_settled(&self.model, &self.worlds[at]);
        if let Some(at) = self.lost(good, |_| true) {
            let mut story = self.story(at);
            story.push(format!("{:?}", self.worlds[at as usize]));
            let world = &self.worlds[at as usize];
            story.push(format!("{:?}", self.model.records.get(world.source.record)));
            story.push(format!(
                "{:?}",
                self.model.records.get(world.targets[0].record)
            ));
            story.push(format!("{:?}", self.model.status(world.status)));
            story.push(format!("{:?}", self.model.specs.get(world.spec[0])));
            story.push(format!("{:?}", self.model.specs.get(world.spec[1])));
            story.push(format!("{:?}", self.model.reports.get(world.report[0])));
            story.push(format!("{:?}", self.model.reports.get(world.report[1])));
            return Some((Wrong::Stuck, story));
        }
        let thawed = |at: usize| !self.model.is_left_frozen(&self.worlds[at]);
        let at = self.lost(thawed, |by_agent| !by_agent)?;
        Some((Wrong::Frozen, self.story(at)))
    }

    /// The first world from which no good one is reached by edges of this kind.
    fn lost(&self, good: impl Fn(usize) -> bool, uses: impl Fn(bool) -> bool) -> Option<u32> {
        let count = self.worlds.len();
        let mut begins = vec![0_u32; count + 1];
        let edges = self.edges.iter().filter(|(_, _, kind)| uses(*kind));
        for (_, to, _) in edges.clone() {
            begins[*to as usize + 1] += 1;
        }
        for at in 0..count {
            begins[at + 1] += begins[at];
        }
        let mut place = begins.clone();
        let mut sources = vec![0_u32; begins[count] as usize];
        for (from, to, _) in edges {
            sources[place[*to as usize] as usize] = *from;
            place[*to as usize] += 1;
        }
        let mut is_good: Vec<_> = (0..count).map(&good).collect();
        let mut todo: Vec<_> = (0..count).filter(|at| is_good[*at]).collect();
        while let Some(at) = todo.pop() {
            for from in &sources[begins[at] as usize..begins[at + 1] as usize] {
                let from = *from as usize;
                if !is_good[from] {
                    is_good[from] = true;
                    todo.push(from);
                }
            }
        }
        let lost = is_good.iter().position(|good| !good)?;
        u32::try_from(lost).ok()
    }
}

/// Everything is up again, nobody is asked anything any more, and the state runs somewhere, or is kept.
fn is_settled(model: &Model, world: &World) -> bool {
    let record = model.records.get(world.source.record);
    let hold = record.hold.as_ref().map(|hold| hold.state);
    if is_left_to_people(model, world) {
        return true;
    }
    let is_quiet = world.is_up == [true; 2]
        && world.has_agent == [true; 2]
        && world.migration == Object::Gone
        && world.spec == [0; 2]
        && world.held == 0
        && !world.source.any(Live::Frozen)
        && !world.source.any(Live::Beginning)
        && matches!(hold, None | Some(HoldState::Killed))
        && world.source_pod != Api::Terminating
        && !world.pods.contains(&Api::Terminating)
        && !world.targets.iter().any(|pod| pod.any(Live::Beginning));
    if !is_quiet {
        return false;
    }
    let runs_on = world.source_pod == Api::Bound
        && world.source.all(Live::Running)
        && !world.is_detached
        && !world.pods.iter().any(|pod| pod.is_alive());
    let mut moved = (0..world.pods.len()).filter(|at| {
        let record = model.records.get(world.targets[*at].record);
        world.pods[*at] == Api::Bound && record.is_whole()
    });
    let has_moved = moved.next().is_some() && world.source_pod == Api::Gone;
    let is_dead = !world.source.any(Live::Running);
    let is_kept = is_dead && (world.is_cut_whole() || world.is_verified);
    let is_users_will = is_dead && world.is_deleted != [false; 2];
    runs_on || has_moved || is_users_will || (is_kept && is_excused(model, world))
}

/// The Migration was lost in the middle of a restore of which something ran: nobody can decide any more. The source stays frozen,
/// safe on disk, and is shown.
fn is_left_to_people(model: &Model, world: &World) -> bool {
    let hold = model.records.get(world.source.record).hold.as_ref();
    let is_released = hold.is_some_and(|hold| hold.state == HoldState::Released);
    let has_run = world.targets.iter().any(|pod| {
        let admission = model.records.get(pod.record).admission.as_ref();
        admission.is_some_and(|admission| admission.ran)
    });
    world.is_migration_lost && is_released && has_run && world.is_cut_whole()
}

/// Nothing runs, and that is what was asked for, or all that could be done.
fn is_excused(model: &Model, world: &World) -> bool {
    let outcome = model.status(world.status).decision.outcome;
    let has_failed = outcome == holdfast::migration::api::Outcome::Failed;
    world.is_migration_lost || has_failed || world.is_deleted[SOURCE]
}
