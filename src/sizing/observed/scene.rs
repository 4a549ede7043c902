//! A template, a DaemonSet and its pods for tests, in as few words as possible. All nodes have 10 CPUs and 100Gi.

use super::{Crew, Observed, Place, Seen, Tried};
use crate::sizing::api::FlexDaemonsetTemplateSpec;
use crate::sizing::load::Surroundings;
use crate::sizing::plan::{Plan, plan};
use crate::sizing::recipe::Recipe;
use crate::sizing::standing::Standing;
pub(crate) use crate::sizing::testkit::amounts;
use crate::sizing::view::{ContainerView, DaemonSetView, NodeView, PodView, Resize, Role, Rollout};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// When it is, in seconds.
pub(crate) const NOW: i64 = 10_000;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A container with limits equal to its requests, or others behind a `/`.
pub(crate) fn container(name: &str, role: Role, resources: &str) -> ContainerView {
    let (requests, limits) = resources.split_once('/').unwrap_or((resources, resources));
    ContainerView {
        name: name.into(),
        role,
        requests: amounts(requests),
        limits: amounts(limits),
    }
}

/// A template with this specification.
pub(crate) fn template(spec: Value) -> Observed {
    let spec: FlexDaemonsetTemplateSpec = serde_json::from_value(spec).unwrap();
    Observed {
        recipe: Recipe::read(&spec),
        created: at(0),
        crews: Vec::new(),
        refusal: None,
        now: at(NOW),
    }
}

/// A DaemonSet whose one container `main` has these resources in the pod template.
pub(crate) fn crew(name: &str, own: &str) -> Crew {
    let view = DaemonSetView {
        uid: format!("uid-{name}").into(),
        template: Some("t".into()),
        template_generation: Some(1),
        containers: vec![container("main", Role::Main, own)],
        ..DaemonSetView::default()
    };
    Crew {
        namespace: "apps".into(),
        name: name.into(),
        view: Arc::new(view),
        ..Crew::default()
    }
}

/// A ready pod of an hour ago, with these resources, that came without a share. Its number is its node's.
pub(crate) fn pod(number: usize, now: &str) -> Seen {
    let node: Arc<str> = format!("n{number}").into();
    let place = Place {
        node: Arc::new(NodeView {
            allocatable: amounts("cpu=10 memory=100Gi storage=1000Gi"),
            ..NodeView::default()
        }),
        surroundings: Surroundings::default(),
    };
    let view = PodView {
        uid: format!("uid-{number}").into(),
        owner: "uid-d".into(),
        node: Some(Arc::clone(&node)),
        template_generation: Some(1),
        containers: vec![container("main", Role::Main, now)],
        has_pod_resources: false,
        was_sized: false,
        created: at(NOW - 3600),
        is_leaving: false,
        is_over: false,
        is_ready: true,
        resize: Resize::None,
        resize_since: None,
    };
    Seen {
        name: format!("d-{number}").into(),
        view: Arc::new(view),
        place: Some((node, place)),
        tried: None,
    }
}

impl Seen {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut PodView)) -> Self {
        change(Arc::make_mut(&mut self.view));
        self
    }

    pub(crate) fn sized(self) -> Self {
        self.with(|view| view.was_sized = true)
    }

    pub(crate) fn unready(self) -> Self {
        self.with(|view| view.is_ready = false)
    }

    pub(crate) fn created(self, second: i64) -> Self {
        self.with(|view| view.created = at(second))
    }

    pub(crate) fn resize(self, resize: Resize) -> Self {
        self.with(|view| view.resize = resize)
    }

    pub(crate) fn tried(mut self, tried: Tried) -> Self {
        self.tried = Some(tried);
        self
    }
}

impl Crew {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut DaemonSetView)) -> Self {
        change(Arc::make_mut(&mut self.view));
        self
    }

    /// With these pods, all of which it wants; so many may be unavailable.
    pub(crate) fn pods(mut self, pods: Vec<Seen>, max_unavailable: &str) -> Self {
        let desired = i32::try_from(pods.len()).unwrap();
        self.pods = pods;
        self.with(|view| {
            view.rollout = Rollout {
                max_unavailable: Some(max_unavailable.into()),
                desired,
                scheduled: desired,
                ..Rollout::default()
            };
        })
    }
}

impl Observed {
    pub(crate) fn crew(mut self, crew: Crew) -> Self {
        self.crews.push(crew);
        self
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(self)
    }

    /// How the one pod of the one DaemonSet stands.
    pub(crate) fn only(&self) -> Standing {
        let plan = plan(self);
        let [standings] = &plan.standings[..] else {
            panic!("{plan:?}")
        };
        let [standing] = &standings[..] else {
            panic!("{standings:?}")
        };
        standing.clone()
    }
}
