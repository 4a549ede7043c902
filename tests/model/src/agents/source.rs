//! The agent of the pod that moves, and its guard.

use super::*;

impl Model {
    /// What is said of the source.
    pub(super) fn source_said(&mut self, world: &World, is_late: bool) -> Rc<SourceSaid> {
        let peer = world.has_agent[TARGET].then(|| {
            let standings = [0, 1, 2].map(|at| self.target_said(world, Place::Target(at)).standing);
            (world.is_verified, world.released, standings)
        });
        let pod = world.source;
        let key = SourceKey {
            record: pod.record,
            spec: world.spec[SOURCE],
            boot: world.boot[SOURCE],
            live: pod.live,
            cut: u8::from(world.is_cut_begun) + u8::from(world.is_cut_whole()),
            has_criu_died: world.has_criu_died,
            is_guarded: world.is_guarded,
            is_late,
            ready: world.ready,
            peer,
        };
        if let Some(said) = self.source_said.get(&key) {
            return Rc::clone(said);
        }
        let said = Rc::new(self.ask_source(&key));
        self.source_said.insert(key, Rc::clone(&said));
        said
    }

    pub(super) fn ask_source(&mut self, key: &SourceKey) -> SourceSaid {
        let process = |live| match live {
            Live::Nothing | Live::Beginning => Process::Dead,
            Live::Running => Process::Running,
            Live::Frozen => Process::Frozen,
        };
        let containers: Vec<_> = self
            .held
            .iter()
            .cloned()
            .zip(key.live.map(process))
            .collect();
        let boot = boot(SOURCE, key.boot);
        let now = moment(key.is_late, boot.clone());
        let record = self.records.get(key.record);
        let peer = self.peer(key);
        let seen = source_plan::Seen {
            record,
            task: self.orders(key.spec),
            containers: &containers,
            cut: [Cut::Nothing, Cut::Begun, Cut::Whole][usize::from(key.cut)],
            older: self.scope.has_older.then_some(OLDER),
            has_criu_died: key.has_criu_died,
            is_guarded: key.is_guarded,
            peer: &peer,
            is_late: record
                .hold
                .as_ref()
                .is_some_and(|hold| hold.deadline.has_passed(&now)),
            deadline: &Deadline { boot, nanos: 5 },
            rules: self.scope.rules,
        };
        let (act, report) = (source_plan::plan(&seen), source_plan::report(&seen));
        let act = match act {
            None => None,
            Some(source_plan::Act::Change(change)) => {
                let what = self.label(short_change(&change));
                let id = self.changed(key.record, &change);
                id.map(|id| (SourceAct::Record(id), (NODE[SOURCE], what)))
            }
            Some(act) => {
                let what = self.label(format!("{act:?}"));
                Some((SourceAct::Other(act), (NODE[SOURCE], what)))
            }
        };
        SourceSaid { act, report }
    }

    /// What the target's agent answers when it is asked. All that stays true is asked anew each time.
    pub(super) fn peer(&self, key: &SourceKey) -> Peer {
        let ready = key
            .ready
            .map(|(at, attempt)| (POD[usize::from(at)].to_owned(), u32::from(attempt)));
        let Some((has_verified, released, standings)) = key.peer else {
            return Peer {
                ready,
                is_silent: true,
                ..Peer::default()
            };
        };
        let hold = self.records.get(key.record).hold.as_ref();
        let target = hold.and_then(|hold| hold.target.as_ref());
        let meant = target.and_then(|target| target.uid.as_ref());
        let pods = standings
            .iter()
            .filter_map(|id| self.standings.get(*id).clone());
        Peer {
            ready,
            has_verified,
            has_release: released[meant.map_or(TARGETS, |uid| position(uid.as_str()))],
            pods: pods.collect(),
            is_silent: false,
        }
    }

    pub fn source_agent(&mut self, world: World, nexts: &mut Nexts) {
        if !world.has_agent[SOURCE] {
            return;
        }
        let said = self.source_said(&world, false);
        self.source_does(world, &said, nexts);
        // A deadline may pass at any time. Once it has, nothing but a withdrawal can come of it.
        if self.is_frozen(&world) {
            let late = self.source_said(&world, true);
            self.source_does(world, &late, nexts);
        }
        self.target_acts(world, Place::Source, nexts);
        self.targets_act(world, SOURCE, nexts);
        self.reports_to(world, SOURCE, nexts);
    }

    /// Where nothing is said of delays, agents that are up report at once.
    pub fn hurry(&mut self, world: &mut World) {
        for node in [SOURCE, TARGET] {
            if world.has_agent[node] && world.spec[node] != 0 {
                world.report[node] = self.reported(world, node);
            }
        }
    }

    pub(super) fn is_frozen(&mut self, world: &World) -> bool {
        self.note(world.source.record).hold == Some(HoldState::Frozen)
    }

    pub(super) fn source_does(&mut self, world: World, said: &SourceSaid, nexts: &mut Nexts) {
        match &said.act {
            None => {}
            Some((SourceAct::Record(id), what)) => {
                let mut next = world;
                self.set_source(&mut next, *id);
                nexts.add(*what, next);
            }
            Some((SourceAct::Other(source_plan::Act::Thaw), what)) => {
                self.thaw(world, *what, nexts);
            }
            Some((SourceAct::Other(act), what)) => {
                let mut next = world;
                self.source_acts(&mut next, act);
                if next != world {
                    nexts.add(*what, next);
                }
            }
        }
    }

    pub(super) fn source_acts(&mut self, world: &mut World, act: &source_plan::Act) {
        match act {
            source_plan::Act::AskReady(uid, attempt) => {
                let at = position(uid);
                let ready = self.target_said(world, Place::Target(at)).ready;
                world.ready = None;
                if world.has_agent[TARGET] && ready == Some(*attempt) {
                    let small = |number: usize| u8::try_from(number).expect("small");
                    world.ready = Some((small(at), u8::try_from(*attempt).expect("small")));
                }
            }
            source_plan::Act::AskRevoke(uid) => {
                world.is_asked[position(uid)] |= world.has_agent[TARGET];
            }
            source_plan::Act::Guard => world.is_guarded = true,
            source_plan::Act::Freeze => {
                for live in &mut world.source.live {
                    if *live == Live::Running {
                        *live = Live::Frozen;
                    }
                }
            }
            source_plan::Act::Dump => match world.dumped.iter().position(|dumped| !dumped) {
                _ if !world.is_cut_begun => world.is_cut_begun = true,
                Some(at) => world.dumped[at] = true,
                None => {}
            },
            source_plan::Act::Copy => {
                world.is_verified |= world.has_agent[TARGET] && world.is_cut_whole();
            }
            source_plan::Act::Release(uid) => {
                world.sent[uid.as_ref().map_or(TARGETS, |uid| position(uid))] = true;
            }
            source_plan::Act::Kill => world.source.kill(),
            source_plan::Act::Change(_) | source_plan::Act::Thaw => {}
        }
    }

    pub(super) fn thaw(&mut self, world: World, what: Label, nexts: &mut Nexts) {
        let mut next = world;
        let claim = claim(self, &world, Place::Source);
        let mut wrong = None;
        for at in 0..CONTAINERS {
            if world.source.live[at] == Live::Frozen {
                wrong = wrong.or(next.run(Place::Source, at, Origin::Own, claim));
            }
        }
        nexts.judged(what, next, wrong);
    }

    pub(super) fn set_source(&self, world: &mut World, record: Id) {
        world.source.record = record;
        let hold = &self.records.get(record).hold;
        world.is_thaw_begun |= hold.as_ref().is_some_and(|hold| hold.thawing);
    }

    pub fn guard(&mut self, world: World, nexts: &mut Nexts) {
        if !world.is_guarded || !world.is_up[SOURCE] {
            return;
        }
        let mut next = world;
        if world.is_guard_sure {
            // It decided on what it read before. The record is read again under its lock, and has the last word.
            next.is_guard_sure = false;
            let withdraw = Change::hold(OPERATION, HoldStep::Withdraw);
            if let Some(record) = self.changed(world.source.record, &withdraw) {
                self.set_source(&mut next, record);
            }
            nexts.add(("the guard", "withdraws, or is refused"), next);
            return;
        }
        let record = self.records.get(world.source.record);
        let now = moment(true, boot(SOURCE, world.boot[SOURCE]));
        let is_frozen = world.source.any(Live::Frozen);
        match guard(record, OPERATION, is_frozen, &now, self.scope.rules) {
            GuardAct::Wait | GuardAct::Leave => {}
            GuardAct::Thaw => self.thaw(world, ("the guard", "thaws"), nexts),
            GuardAct::Change(change) if is_withdrawal(&change) && !self.scope.is_quick => {
                next.is_guard_sure = true;
                nexts.add(("the guard", "sees its deadline pass"), next);
            }
            GuardAct::Change(change) => {
                if let Some(record) = self.changed(world.source.record, &change) {
                    self.set_source(&mut next, record);
                    nexts.add(("the guard", "writes the record"), next);
                }
            }
        }
    }

    /// Without its agent, what is frozen and was not released comes back by its guard.
    pub fn is_left_frozen(&mut self, world: &World) -> bool {
        let hold = self.note(world.source.record).hold;
        let is_unreleased = matches!(hold, Some(HoldState::Frozen | HoldState::Withdrawn));
        is_unreleased && world.source.any(Live::Frozen) && world.is_up[SOURCE]
    }
}
