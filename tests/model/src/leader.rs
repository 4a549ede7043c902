//! The leader: its plan, one step at a time; and one that was held up, and goes on from what it saw.

use crate::model::{Label, Model, NODE, Nexts, OPERATION, POD, Report, View};
use crate::world::{Api, Order as Object, SOURCE, TARGET, World};
use holdfast::agent::api::{StateTaskSpec, Word};
use holdfast::hold::rules::Rule;
use holdfast::migration::api::{ProofKind, ProofNote};
use holdfast::migration::plan::{
    Candidate, ImagesSeen, Observed, SourcePod, Step, Stop, TaskSeen, plan,
};
use holdfast::migration::sweep::{Stray, sweep};
use std::rc::Rc;

impl Model {
    /// What a leader would do that sees this.
    fn lead(&mut self, view: View) -> Rc<Vec<(Step, Label)>> {
        if let Some(steps) = self.led.get(&view) {
            return Rc::clone(steps);
        }
        let pods = view.pods.iter().zip(POD).filter(|(api, _)| api.exists());
        let pods: Vec<_> = pods
            .map(|(api, uid)| Candidate {
                name: format!("web-{uid}"),
                uid: uid.into(),
                is_gated: *api == Api::Gated,
                is_alive: api.is_alive(),
            })
            .collect();
        let proof = ProofNote {
            kind: ProofKind::OutOfService,
            by: None,
        };
        let steps = plan(&Observed {
            course: &self.course,
            status: self.status(view.status),
            refusal: None,
            is_deleting: view.migration == Object::Deleting,
            stop: view.is_late.then_some(Stop::Late),
            images: ImagesSeen::default(),
            is_source_lost: false,
            source_pod: if view.source_pod.exists() {
                SourcePod::Here {
                    is_detached: view.is_detached,
                }
            } else {
                SourcePod::Gone
            },
            pods: &pods,
            source: self.task(&view, SOURCE),
            target: self.task(&view, TARGET),
            target_proof: view.has_proof.then_some(&proof),
            is_target_silent: view.is_target_silent,
            rules: self.scope.rules,
        });
        let said = steps.into_iter().map(|step| {
            let text = said(&step);
            (step, ("leader", self.label(text)))
        });
        let steps = Rc::new(said.collect::<Vec<_>>());
        self.led.insert(view, Rc::clone(&steps));
        steps
    }

    fn task(&self, view: &View, node: usize) -> TaskSeen<'_> {
        let (spec, report) = (view.spec[node], self.reports.get(view.report[node]));
        if spec == 0 {
            return TaskSeen::default();
        }
        let Report { of, source, target } = report;
        TaskSeen {
            spec: Some(self.specs.get(spec)),
            source: source.as_ref(),
            target: target.as_ref(),
            is_current: *of == spec,
        }
    }

    pub fn leaders(&mut self, world: World, nexts: &mut Nexts) {
        let view = View::of(&world);
        let steps = match world.migration {
            Object::Gone if !world.source_pod.exists() => Rc::default(),
            Object::Gone => self.strays(view),
            Object::Here | Object::Deleting => self.lead(view),
        };
        // Steps that are done already change nothing; the first one that does is next.
        for (step, what) in steps.iter() {
            let mut next = world;
            self.step(&mut next, &view, step);
            if next != world {
                nexts.add(*what, next);
                break;
            }
        }
        if world.held != 0 {
            self.held_leader(world, nexts);
        }
    }

    fn held_leader(&mut self, world: World, nexts: &mut Nexts) {
        let Some(view) = *self.views.get(world.held) else {
            return;
        };
        let steps = self.lead(view);
        let mut next = world;
        let Some((step, what)) = steps.get(usize::from(world.held_at)) else {
            (next.held, next.held_at) = (0, 0);
            nexts.add(("the held leader", "has done all"), next);
            return;
        };
        self.step(&mut next, &view, step);
        next.held_at += 1;
        nexts.add(("the held leader", what.1), next);
    }

    /// A fault: a leader looks, and is held up before it acts.
    pub fn hold_leader(&mut self, world: World, nexts: &mut Nexts) {
        let view = View::of(&world);
        if world.held != 0 || world.migration == Object::Gone || self.lead(view).is_empty() {
            return;
        }
        let mut next = world;
        next.held = self.views.id(Some(view));
        nexts.fault(("leader", "is held up, and another one goes on"), next);
    }

    /// A fault: it takes too long, and the leader gives up.
    pub fn late_leader(&mut self, world: World, nexts: &mut Nexts) {
        let view = View {
            is_late: true,
            ..View::of(&world)
        };
        if world.migration == Object::Gone || self.status(world.status).given_up.is_some() {
            return;
        }
        let steps = self.lead(view);
        if let Some((step @ Step::Status(status), _)) = steps.first()
            && status.given_up.is_some()
        {
            let mut next = world;
            self.step(&mut next, &view, step);
            nexts.fault(("the leader", "finds that it takes too long"), next);
        }
    }

    fn step(&mut self, world: &mut World, seen: &View, step: &Step) {
        let is_there = world.migration != Object::Gone;
        match step {
            Step::Status(status) => {
                let is_unchanged = world.status == seen.status;
                if is_there && (is_unchanged || !self.scope.rules.hold(Rule::DecisionsAreCompared))
                {
                    world.status = self.status_id(status);
                    if let Some(bound) = &status.target {
                        world.is_home_bound[at(&bound.pod_uid)] = bound.node == NODE[SOURCE];
                    }
                }
            }
            Step::Task(spec) => {
                let node = usize::from(spec.node_name == NODE[TARGET]);
                if world.spec[node] == seen.spec[node] && (is_there || is_alone(spec)) {
                    world.spec[node] = self.specs.id((**spec).clone());
                }
            }
            Step::Detach if world.source_pod.exists() => {
                if world.is_detached == seen.is_detached {
                    world.is_detached = true;
                }
            }
            Step::Attach if world.source_pod.exists() => {
                if world.is_detached == seen.is_detached {
                    world.is_detached = false;
                }
            }
            Step::LiftGate(bound) => {
                let at = at(&bound.pod_uid);
                if world.pods[at] == Api::Gated {
                    world.pods[at] = Api::Bound;
                }
            }
            Step::DeletePod(uid) if uid == NODE[SOURCE] => delete(&mut world.source_pod),
            Step::DeletePod(uid) => delete(&mut world.pods[at(uid)]),
            Step::DropPod(uid) => {
                // By its uid: one that is not there is not made again.
                if world.pods[at(uid)].exists() {
                    world.pods[at(uid)] = Api::Gone;
                }
            }
            Step::DeleteTask(node) => {
                let node = usize::from(node == NODE[TARGET]);
                (world.spec[node], world.report[node]) = (0, 0);
            }
            Step::Finish => world.migration = Object::Gone,
            Step::CreatePod => {
                // Its name is free when its predecessor is gone, and every pod before it.
                let is_free =
                    world.source_pod == Api::Gone && !world.pods.iter().any(|pod| pod.exists());
                let unmade = world.pods.iter().position(|pod| *pod == Api::Unmade);
                if let (true, Some(at)) = (is_free, unmade) {
                    world.pods[at] = Api::Gated;
                }
            }
            Step::Detach | Step::Attach => {}
        }
    }

    /// What is done for a pod whose Migration is gone.
    fn strays(&mut self, view: View) -> Rc<Vec<(Step, Label)>> {
        if let Some(steps) = self.led.get(&view) {
            return Rc::clone(steps);
        }
        let steps = sweep(&Stray {
            operation: OPERATION,
            pod_name: "web",
            pod_uid: NODE[SOURCE],
            node: NODE[SOURCE],
            is_detached: view.is_detached,
            has_owner: true,
            task: self.task(&view, SOURCE),
            rules: self.scope.rules,
        });
        let said = steps.into_iter().map(|step| {
            let text = said(&step);
            (step, ("leader", self.label(text)))
        });
        let steps = Rc::new(said.collect::<Vec<_>>());
        self.led.insert(view, Rc::clone(&steps));
        steps
    }
}

fn at(uid: &str) -> usize {
    POD.iter().position(|pod| *pod == uid).expect("a pod")
}

/// Orders that the pod owns, and not the Migration.
pub fn is_alone(spec: &StateTaskSpec) -> bool {
    let source = spec.source.as_ref();
    source.is_some_and(|order| order.word == Word::Alone)
}

pub fn delete(pod: &mut Api) {
    match pod {
        Api::Gated => *pod = Api::Gone,
        Api::Bound => *pod = Api::Terminating,
        Api::Unmade | Api::Terminating | Api::Gone => {}
    }
}

fn said(step: &Step) -> String {
    match step {
        Step::Status(status) => {
            let decision = &status.decision;
            format!(
                "{:?}({}{}){}{}",
                decision.outcome,
                decision.attempt,
                decision
                    .pod_uid
                    .as_deref()
                    .map_or(String::new(), |uid| format!(", {uid}")),
                status
                    .given_up
                    .as_deref()
                    .map_or(String::new(), |why| format!(", given up: {why}")),
                status
                    .target
                    .as_ref()
                    .map_or(String::new(), |target| format!(
                        ", bound {}",
                        target.pod_uid
                    )),
            )
        }
        Step::LiftGate(bound) => format!("lifts the gate of {} to {}", bound.pod_uid, bound.node),
        Step::Task(spec) => match (&spec.source, &spec.target) {
            (Some(source), target) => format!(
                "orders to s: {:?}, {:?}{}",
                source.word,
                spec.decision.outcome,
                target.as_ref().map_or(String::new(), |target| format!(
                    ", revoke {:?}",
                    target.revoke
                )),
            ),
            (_, Some(target)) => format!(
                "orders to t: {:?}, revoke {:?}",
                spec.decision.outcome, target.revoke
            ),
            _ => "orders".into(),
        },
        step => format!("{step:?}"),
    }
}
