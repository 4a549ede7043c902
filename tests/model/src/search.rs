//! Through everything that may happen, up to a number of faults: first all that happens without a fault, then all that happens with
//! one, and so on. And back from all good ends, so that whoever cannot reach one is found.

use crate::intern::Quick;
use crate::model::{Label, Model, Next, Nexts, Scope};
use crate::world::{Api, Live, Order as Object, SOURCE, TARGET, World, Wrong};
use holdfast::hold::record::HoldState;
use holdfast::migration::api::Outcome;
use std::collections::hash_map::Entry;

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
    /// What may happen without a fault. True: the source's agent comes back.
    edges: Vec<(u32, u32, bool)>,
    /// What a fault leads to, for the next layer.
    later: Vec<(World, u32, Label)>,
}

/// Explores a scope.
pub fn explore(scope: Scope) -> Found {
    let mut model = Model::new(scope);
    let start = model.start();
    let mut search = Search {
        model,
        worlds: Vec::new(),
        ids: Quick::default(),
        came: Vec::new(),
        edges: Vec::new(),
        later: Vec::new(),
    };
    search.id(start, (0, ("", ""), false));
    let wrong = search.forward().or_else(|| search.backward());
    Found {
        states: search.worlds.len(),
        wrong,
    }
}

impl Search {
    fn forward(&mut self) -> Option<(Wrong, Vec<String>)> {
        let mut at = 0;
        for layer in 0..=self.model.scope.faults {
            for (world, from, what) in std::mem::take(&mut self.later) {
                self.id(world, (from, what, true));
            }
            while at < self.worlds.len() {
                if let Some(found) = self.visit(at, layer) {
                    return Some(found);
                }
                at += 1;
            }
        }
        None
    }

    fn visit(&mut self, at: usize, layer: u8) -> Option<(Wrong, Vec<String>)> {
        let from = small(at);
        let mut nexts = Nexts::default();
        self.model.nexts(self.worlds[at], &mut nexts);
        if layer < self.model.scope.faults {
            self.model.faults(self.worlds[at], &mut nexts);
        }
        for next in nexts.0 {
            let Next {
                what,
                mut world,
                is_fault,
                wrong,
            } = next;
            if let Some(wrong) = wrong {
                let mut story = self.story(from);
                story.push(format!("{}: {}", what.0, what.1));
                return Some((wrong, story));
            }
            self.model.tidy(&mut world);
            if self.model.scope.is_quick {
                self.model.hurry(&mut world);
            }
            if is_fault {
                if !self.ids.contains_key(&world) {
                    self.later.push((world, from, what));
                }
            } else {
                let to = self.id(world, (from, what, false));
                let by_agent = what == ("agent s", "is back");
                self.edges.push((from, to, by_agent));
            }
        }
        None
    }

    fn id(&mut self, world: World, came: (u32, Label, bool)) -> u32 {
        let new = small(self.worlds.len());
        let id = *self.ids.entry(world).or_insert(new);
        if id == new {
            self.worlds.push(world);
            self.came.push(came);
        }
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

    fn backward(&mut self) -> Option<(Wrong, Vec<String>)> {
        let count = self.worlds.len();
        let settled: Vec<_> = (0..count)
            .map(|at| is_settled(&self.model, &self.worlds[at]))
            .collect();
        if let Some(at) = self.lost(settled, |_| true) {
            let mut story = self.story(at);
            let (end, path) = self.aftermath(at);
            story.push(format!("and then nothing but: {}", path.join(", ")));
            story.push(self.model.describe(&end));
            return Some((Wrong::Stuck, story));
        }
        let thawed = (0..count)
            .map(|at| !self.model.is_left_frozen(&self.worlds[at]))
            .collect();
        let at = self.lost(thawed, |by_agent| !by_agent)?;
        Some((Wrong::Frozen, self.story(at)))
    }

    /// Where it ends, if nothing goes wrong any more: a world from which nothing new is reached.
    fn aftermath(&mut self, at: u32) -> (World, Vec<String>) {
        let (mut world, mut story) = (self.worlds[at as usize], Vec::new());
        let mut reach = usize::MAX;
        loop {
            let (last, path, count) = self.reached(world);
            if count >= reach {
                return (world, story);
            }
            reach = count;
            world = last;
            story.extend(path);
        }
    }

    /// The world that is reached last, how, and how many are.
    fn reached(&mut self, start: World) -> (World, Vec<String>, usize) {
        let mut seen: Quick<World, (u32, Label)> = Quick::default();
        let mut order = vec![start];
        seen.insert(start, (0, ("", "")));
        let mut next = 0;
        while next < order.len() {
            let mut nexts = Nexts::default();
            self.model.nexts(order[next], &mut nexts);
            for mut found in nexts.0 {
                self.model.tidy(&mut found.world);
                if self.model.scope.is_quick {
                    self.model.hurry(&mut found.world);
                }
                if let Entry::Vacant(new) = seen.entry(found.world) {
                    new.insert((small(next), found.what));
                    order.push(found.world);
                }
            }
            next += 1;
        }
        let last = order[order.len() - 1];
        let (mut path, mut world) = (Vec::new(), last);
        while world != start {
            let (from, (who, what)) = seen[&world];
            path.push(format!("{who}: {what}"));
            world = order[from as usize];
        }
        path.reverse();
        (last, path, order.len())
    }

    /// The first world from which no good one is reached by edges of this kind.
    fn lost(&self, mut is_good: Vec<bool>, uses: impl Fn(bool) -> bool) -> Option<u32> {
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
        is_good.iter().position(|good| !good).map(small)
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 states")
}

/// Everything is up again, nobody is asked anything any more, and the state runs somewhere, or is kept.
fn is_settled(model: &Model, world: &World) -> bool {
    if is_left_to_people(model, world) || is_exhausted(world) {
        return true;
    }
    let record = model.records.get(world.source.record);
    let hold = record.hold.as_ref().map(|hold| hold.state);
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

/// The user has deleted pods until the world had no more names for them.
fn is_exhausted(world: &World) -> bool {
    let is_used = |pod: &Api| !pod.is_alive() && *pod != Api::Unmade;
    world.is_deleted[TARGET] && world.pods.iter().all(is_used)
}

/// The Migration was lost in the middle of a restore of which something ran: nobody can decide any more. The source stays frozen,
/// safe on disk, and is shown.
fn is_left_to_people(model: &Model, world: &World) -> bool {
    let hold = model.records.get(world.source.record).hold.as_ref();
    let is_released = hold.is_some_and(|hold| hold.state == HoldState::Released);
    let has_run = hold.is_some_and(|hold| hold.ran);
    let has_run = has_run
        || world.targets.iter().any(|pod| {
            let admission = model.records.get(pod.record).admission.as_ref();
            admission.is_some_and(|admission| admission.ran)
        });
    world.is_migration_lost
        && world.is_target_hurt
        && is_released
        && has_run
        && world.is_cut_whole()
}

/// Nothing runs, and that is what was asked for, or all that could be done.
fn is_excused(model: &Model, world: &World) -> bool {
    let has_failed = model.status(world.status).decision.outcome == Outcome::Failed;
    world.is_migration_lost || has_failed || world.is_deleted[SOURCE]
}
