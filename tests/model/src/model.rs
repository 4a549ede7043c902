//! The product's own plans, asked about a small world. What a plan says for the same question is asked once.

use crate::agents::{SourceKey, SourceSaid, TargetKey, TargetSaid};
use crate::intern::{Id, Quick, Table};
use crate::world::{
    Api, Evidence, Live, Order as Object, Origin, Pod, SOURCE, TARGET, TARGETS, World,
};
use holdfast::agent::api::{Order, SourceReport, StateTaskSpec, TargetPod, TargetReport};
use holdfast::hold::record::{AdmissionState, Held, HoldState, Record, TokenState};
use holdfast::hold::rules::Rules;
use holdfast::hold::uid::Uid;
use holdfast::migration::api::{MigrationStatus, OnFailure};
use holdfast::migration::plan::{Course, Step};
use std::collections::HashMap;
use std::rc::Rc;

pub const OPERATION: &str = "op";
pub const GENERATION: &str = "g";
pub const OLDER: &str = "g0";
pub const CONTAINER: [&str; 2] = ["a", "b"];
pub const POD: [&str; TARGETS] = ["u1", "u2", "u3"];
pub const NODE: [&str; 2] = ["s", "t"];

/// What is explored.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    pub order: Order,
    pub retries: u32,
    /// Nobody but us makes a successor.
    pub is_bare: bool,
    pub on_failure: OnFailure,
    pub has_older: bool,
    pub has_held_leader: bool,
    pub is_quick: bool,
    pub faults: u8,
    pub rules: Rules,
}

/// What a leader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct View {
    pub status: Id,
    pub migration: Object,
    pub is_late: bool,
    pub source_pod: Api,
    pub is_detached: bool,
    pub pods: [Api; TARGETS],
    pub spec: [Id; 2],
    pub report: [Id; 2],
    pub has_proof: bool,
    pub is_target_silent: bool,
}

impl View {
    pub fn of(world: &World) -> Self {
        Self {
            status: world.status,
            migration: world.migration,
            is_late: false,
            source_pod: world.source_pod,
            is_detached: world.is_detached,
            pods: world.pods,
            spec: world.spec,
            report: world.report,
            has_proof: world.has_proof,
            is_target_silent: !world.is_up[TARGET],
        }
    }
}

/// What of a record is asked for all the time.
#[derive(Debug, Clone, Copy)]
pub struct Note {
    pub hold: Option<HoldState>,
    pub is_damaged: bool,
    pub is_begun: [bool; 2],
    pub is_revoked: bool,
}

impl Note {
    fn of(record: &Record) -> Self {
        let hold = record.hold.as_ref();
        let admission = record.admission.as_ref();
        let is_begun = |name| {
            let token = record.tokens.get(name);
            token.is_some_and(|token| token.state == TokenState::Begun)
        };
        Self {
            hold: hold.map(|hold| hold.state),
            is_damaged: hold.is_some_and(|hold| hold.damaged),
            is_begun: CONTAINER.map(is_begun),
            is_revoked: admission.is_some_and(|a| a.state == AdmissionState::Revoked),
        }
    }
}

/// A node's status, and the orders that it answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Report {
    pub of: Id,
    pub source: Option<SourceReport>,
    pub target: Option<TargetReport>,
}

/// The plans, and all values that were seen so far.
pub struct Model {
    pub scope: Scope,
    pub course: Course,
    pub records: Table<Record>,
    /// Zero: there is none.
    pub specs: Table<StateTaskSpec>,
    pub reports: Table<Report>,
    pub views: Table<Option<View>>,
    statuses: Vec<MigrationStatus>,
    status_ids: HashMap<String, Id>,
    pub led: Quick<View, Rc<Vec<(Step, Label)>>>,
    pub held: Vec<Held>,
    pub verified: Vec<String>,
    /// What of each record is asked for all the time.
    notes: Vec<Note>,
    pub standings: Table<Option<TargetPod>>,
    pub target_said: Quick<TargetKey, Rc<TargetSaid>>,
    pub source_said: Quick<SourceKey, Rc<SourceSaid>>,
    labels: HashMap<String, &'static str>,
}

fn course(scope: &Scope) -> Course {
    Course {
        operation: OPERATION.into(),
        order: scope.order,
        pod_name: "web".into(),
        pod_uid: NODE[SOURCE].into(),
        source_node: NODE[SOURCE].into(),
        target_node: NODE[TARGET].into(),
        generation: GENERATION.into(),
        older: scope.has_older.then(|| OLDER.into()),
        target_address: None,
        is_bare: scope.is_bare,
        restores: CONTAINER.map(str::to_owned).into(),
        // Whether they are there lets a pod be frozen or not, and nothing else: here they are.
        images: Vec::new(),
        finished: vec!["init".into()],
        fills_volumes: true,
        retries: scope.retries,
        on_failure: scope.on_failure,
    }
}

pub fn uid(name: &str) -> Uid {
    Uid::try_from(name).expect("a uid")
}

impl Model {
    pub fn new(scope: Scope) -> Self {
        let blank = Record::blank("ns", "web", uid(NODE[SOURCE]));
        let held = CONTAINER.map(|name| Held {
            name: name.into(),
            id: name.into(),
            root: String::new(),
            cgroups: Vec::new(),
        });
        let mut model = Self {
            scope,
            course: course(&scope),
            records: Table::with(blank),
            specs: Table::with(StateTaskSpec::default()),
            reports: Table::with(Report::default()),
            views: Table::with(None),
            statuses: Vec::new(),
            status_ids: HashMap::new(),
            led: Quick::default(),
            held: held.into(),
            verified: scope.has_older.then(|| OLDER.into()).into_iter().collect(),
            notes: Vec::new(),
            standings: Table::with(None),
            target_said: Quick::default(),
            source_said: Quick::default(),
            labels: HashMap::new(),
        };
        model.status_id(&MigrationStatus::default());
        model
    }

    /// Where everything begins: the source runs, and a Migration was made.
    pub fn start(&mut self) -> World {
        let pod = |record, live, origin| Pod {
            record,
            live: [live; 2],
            evidence: [Evidence::Nothing; 2],
            origin: [origin; 2],
        };
        let blank = |name: &str| Record::blank("ns", "web", uid(name));
        let targets = POD.map(|name| self.records.id(blank(name)));
        World {
            status: 0,
            migration: Object::Here,
            source_pod: Api::Bound,
            is_detached: false,
            pods: [Api::Unmade; TARGETS],
            is_home_bound: [false; TARGETS],
            spec: [0; 2],
            report: [0; 2],
            has_proof: false,
            is_up: [true; 2],
            has_agent: [true; 2],
            boot: [0; 2],
            source: pod(0, Live::Running, Origin::Own),
            is_cut_begun: false,
            dumped: [false; 2],
            is_guarded: false,
            is_guard_sure: false,
            has_criu_died: false,
            ready: None,
            is_verified: false,
            sent: [false; TARGETS + 1],
            released: [false; TARGETS + 1],
            targets: targets.map(|record| pod(record, Live::Nothing, Origin::Nothing)),
            is_asked: [false; TARGETS],
            held: 0,
            held_at: 0,
            is_stale: false,
            is_thaw_begun: false,
            is_home: false,
            has_target_run: false,
            is_deleted: [false; 2],
            is_migration_lost: false,
            is_target_hurt: false,
        }
    }

    /// What matters of a record.
    pub fn note(&mut self, id: Id) -> Note {
        while self.notes.len() <= usize::from(id) {
            let next = Id::try_from(self.notes.len()).expect("small");
            self.notes.push(Note::of(self.records.get(next)));
        }
        self.notes[usize::from(id)]
    }

    /// A world in full, for whoever looks for what is wrong with it.
    pub fn describe(&self, world: &World) -> String {
        let mut parts = vec![
            format!("{world:#?}"),
            format!("{:#?}", self.status(world.status)),
        ];
        let pods = std::iter::once(&world.source).chain(&world.targets);
        parts.extend(pods.map(|pod| format!("{:?}", self.records.get(pod.record))));
        for node in [SOURCE, TARGET] {
            parts.push(format!("{:?}", self.specs.get(world.spec[node])));
            parts.push(format!("{:?}", self.reports.get(world.report[node])));
        }
        parts.join("\n")
    }

    pub fn status(&self, id: Id) -> &MigrationStatus {
        &self.statuses[usize::from(id)]
    }

    /// A status has times in its conditions, and so no equality of its own; here it has no conditions.
    pub fn status_id(&mut self, status: &MigrationStatus) -> Id {
        let text = format!("{status:?}");
        if let Some(id) = self.status_ids.get(&text) {
            return *id;
        }
        let id = Id::try_from(self.statuses.len()).expect("fewer than 65,536 statuses");
        self.statuses.push(status.clone());
        self.status_ids.insert(text, id);
        id
    }

    /// A text that lives as long as the program: there are few.
    pub fn label(&mut self, text: String) -> &'static str {
        if let Some(label) = self.labels.get(&text) {
            return label;
        }
        let label: &'static str = Box::leak(text.clone().into_boxed_str());
        self.labels.insert(text, label);
        label
    }
}

/// Who does what.
pub type Label = (&'static str, &'static str);

/// What happens next.
pub struct Next {
    pub what: Label,
    pub world: World,
    pub is_fault: bool,
    pub wrong: Option<crate::world::Wrong>,
}

/// All that may happen next.
#[derive(Default)]
pub struct Nexts(pub Vec<Next>);

impl Nexts {
    pub fn add(&mut self, what: Label, world: World) {
        self.judged(what, world, None);
    }

    pub fn judged(&mut self, what: Label, world: World, wrong: Option<crate::world::Wrong>) {
        self.0.push(Next {
            what,
            world,
            is_fault: false,
            wrong,
        });
    }

    pub fn fault(&mut self, what: Label, world: World) {
        self.0.push(Next {
            what,
            world,
            is_fault: true,
            wrong: None,
        });
    }
}
