//! The agents of the pods that are to get the state, and what may be made there.

use super::*;

impl Model {
    /// What is said of a pod that is to begin.
    pub fn target_said(&mut self, world: &World, place: Place) -> Rc<TargetSaid> {
        let (node, pod) = (world.node(place), world.pod(place));
        let is_home = node == SOURCE;
        let key = TargetKey {
            node,
            record: pod.record,
            spec: world.spec[node],
            boot: world.boot[node],
            is_here: if is_home {
                world.is_cut_whole()
            } else {
                world.is_verified
            },
            released: if is_home {
                [true; TARGETS + 1]
            } else {
                world.released
            },
            live: pod.live,
            evidence: pod.evidence,
            is_asking: [0, 1].map(|at| is_asking(world, place, at)),
            has_sandbox: matches!(world.api(place), Api::Bound | Api::Terminating),
            is_asked: match place {
                Place::Source => false,
                Place::Target(at) => world.is_asked[at],
            },
        };
        if let Some(said) = self.target_said.get(&key) {
            return Rc::clone(said);
        }
        let said = Rc::new(self.ask_target(&key));
        self.target_said.insert(key, Rc::clone(&said));
        said
    }

    pub(super) fn ask_target(&mut self, key: &TargetKey) -> TargetSaid {
        let mut verified: Vec<_> = self.verified.clone();
        verified.extend(key.is_here.then(|| GENERATION.to_owned()));
        let pods = (0..TARGETS).filter(|at| key.released[*at]);
        let release = if key.released[TARGETS] {
            Release::Anybody
        } else {
            Release::To(pods.map(|at| POD[at].to_owned()).collect())
        };
        let containers = (0..CONTAINERS).map(|at| (CONTAINER[at].to_owned(), sight(key, at)));
        let containers = containers.collect();
        let boot = boot(key.node, key.boot);
        let seen = target_plan::Seen {
            record: self.records.get(key.record),
            task: self.orders(key.spec),
            boot: &boot,
            verified: &verified,
            release: &release,
            containers: &containers,
            has_sandbox: key.has_sandbox,
            is_asked_to_revoke: key.is_asked,
            rules: self.scope.rules,
        };
        let act = target_plan::plan(&seen);
        let replies =
            CONTAINER.map(|name| target_plan::reply(&seen, Some(name), None, ("c", "id")));
        let alone = CONTAINER.map(|name| {
            let asked = Asked {
                container: Some(name),
                expects: None,
            };
            answer(seen.record, asked, Agent::Away, self.scope.rules)
        });
        let attempt = self.specs.get(key.spec).decision.attempt;
        let ready = target_plan::is_ready(&seen, attempt).then_some(attempt);
        let standing = target_plan::standing(&seen);
        let is_whole = seen.record.is_whole();
        TargetSaid {
            act: act.and_then(|act| self.target_act(key.record, &act)),
            created: replies.map(|reply| self.created(key.record, &reply)),
            alone: alone.map(|answer| match answer {
                Answer::Start { .. } => Created::Starts(key.record),
                _ => Created::Waits,
            }),
            ready,
            standing: self.standings.id(standing),
            is_whole,
        }
    }

    pub(super) fn created(&mut self, record: Id, reply: &Reply) -> Created {
        match reply {
            Reply::Start(None) => Created::Starts(record),
            Reply::Start(Some(change)) => {
                Created::Starts(self.changed(record, change).unwrap_or(record))
            }
            Reply::Begin(change, _) => {
                let changed = self.changed(record, change);
                changed.map_or(Created::Waits, Created::Begins)
            }
            Reply::NoOp | Reply::Wait(_) | Reply::Refuse(_) => Created::Waits,
        }
    }

    pub(super) fn target_act(
        &mut self,
        record: Id,
        act: &target_plan::Act,
    ) -> Option<(TargetAct, Label)> {
        Some(match act {
            target_plan::Act::Kill => (TargetAct::Kill, ("", "kills what is left")),
            target_plan::Act::Change(change) => {
                let id = self.changed(record, change)?;
                let what = self.label(short_change(change));
                (TargetAct::Record(id, is_over(change)), ("", what))
            }
        })
    }

    pub fn target_agent(&mut self, world: World, nexts: &mut Nexts) {
        if !world.has_agent[TARGET] {
            return;
        }
        self.targets_act(world, TARGET, nexts);
        for at in 0..=TARGETS {
            if world.sent[at] && !world.released[at] && world.is_verified {
                let mut next = world;
                next.released[at] = true;
                let whom = [POD[0], POD[1], POD[2], "t"][at];
                nexts.add((whom, "has the release"), next);
            }
        }
        self.reports_to(world, TARGET, nexts);
    }

    /// What an agent does with a pod that is to begin.
    pub(super) fn target_acts(&mut self, world: World, place: Place, nexts: &mut Nexts) {
        let said = self.target_said(&world, place);
        let Some((act, (_, what))) = said.act else {
            return;
        };
        let mut next = world;
        let pod: &mut Pod = next.pod_mut(place);
        match act {
            TargetAct::Kill => pod.kill(),
            TargetAct::Record(record, is_over) => {
                pod.record = record;
                if is_over {
                    pod.origin = [Origin::Nothing; CONTAINERS];
                    pod.evidence = [Evidence::Nothing; CONTAINERS];
                }
            }
        }
        nexts.add((name(place), what), next);
    }

    /// A `create` is answered.
    pub fn create(
        &mut self,
        world: World,
        place: Place,
        (at, who): (usize, &'static str),
        nexts: &mut Nexts,
    ) {
        if !is_asking(&world, place, at) {
            return;
        }
        let said = self.target_said(&world, place);
        let created = if world.has_agent[world.node(place)] {
            &said.created[at]
        } else {
            &said.alone[at]
        };
        let mut next = world;
        match created {
            Created::Waits => {}
            // A restart of what was restored whole is a crash of it, and none of our business here.
            Created::Starts(_) if place != Place::Source && said.is_whole => {}
            Created::Starts(record) => {
                next.pod_mut(place).record = *record;
                let claim = claim(self, &world, place);
                let wrong = next.run(place, at, Origin::Fresh, claim);
                nexts.judged((who, "starts fresh"), next, wrong);
            }
            Created::Begins(record) => {
                let pod: &mut Pod = next.pod_mut(place);
                pod.record = *record;
                pod.live[at] = Live::Beginning;
                pod.evidence[at] = Evidence::NeverRan;
                nexts.add((who, "begins"), next);
            }
        }
    }
}
