//! What all DaemonSets of a node ask for together, and what of it a share depends on: what is left for one that is taken of the rest,
//! and by how much shares are made smaller where they come to more than the node has. Pure.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Each};
use crate::sizing::api::{Base, Overcommit};
use crate::sizing::crowd::Crowd;
use crate::sizing::recipe::Recipe;
use crate::sizing::share::{Inputs, Kept, shares};
use crate::sizing::view::{ContainerView, DaemonSetView, NodeView, Role};

/// A share that is scaled: of so much, only so much.
pub(crate) type Scale = Each<Option<(Quantity, Quantity)>>;

/// What DaemonSets ask of one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Those whose pods get no share, by their own requests.
    pub(crate) plain: Amounts,
    /// The shares of those that name one, before any of them is scaled.
    pub(crate) shared: Amounts,
    /// Of these: what templates ask for that may be scaled.
    pub(crate) scalable: Amounts,
}

/// What a share depends on beside its own template, DaemonSet and node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// What DaemonSets ask for whose pods get no share.
    pub(crate) others: Amounts,
    pub(crate) scale: Scale,
}

impl Surroundings {
    /// What a template sees of a node's `load`, which is asked for only if the template cares. None: it cares, and nobody knows.
    pub(crate) fn see(
        recipe: &Recipe,
        node: &NodeView,
        load: impl FnOnce() -> Option<Load>,
    ) -> Option<Self> {
        if !recipe.looks_around() {
            return Some(Self::default());
        }
        let load = load()?;
        let scale = match recipe.overcommit {
            Overcommit::Scale => load.scale(node),
            Overcommit::Warn | Overcommit::Refuse => Scale::default(),
        };
        Some(Self {
            others: load.plain,
            scale,
        })
    }
}

impl Recipe {
    /// Whether its shares depend on other DaemonSets.
    pub(crate) fn looks_around(&self) -> bool {
        self.base == Base::AllocatableMinusDaemonSets || self.overcommit == Overcommit::Scale
    }
}

/// What all DaemonSets ask of a node.
pub(crate) fn load(name: &str, node: &NodeView, crowd: &Crowd) -> Load {
    let all = crowd.members();
    let here: Vec<_> = all
        .filter(|member| member.daemonset.landing.is_on(name, node))
        .collect();
    let plain = here
        .iter()
        .filter(|member| member.recipe.is_none())
        .fold(Amounts::default(), |sum, member| {
            sum.plus(&member.daemonset.asked())
        });
    let mut load = Load {
        plain,
        ..Load::default()
    };
    let unscaled = Surroundings {
        others: plain,
        ..Surroundings::default()
    };
    for member in here {
        let Some(recipe) = member.recipe else {
            continue;
        };
        let inputs = Inputs {
            recipe,
            node,
            daemonset: member.daemonset,
            limit_ranges: &[],
            surroundings: &unscaled,
        };
        let shares = shares(&inputs, &Kept::default(), &mut Vec::new());
        let amounts = Each::from_fn(|resource| shares.of(resource).amount);
        load.shared = load.shared.plus(&amounts);
        if recipe.overcommit == Overcommit::Scale {
            load.scalable = load.scalable.plus(&amounts);
        }
    }
    load
}

impl Load {
    /// The resources of which shares come to more than the node has, and how much they come to.
    pub(crate) fn excess(&self, node: &NodeView) -> Each<Option<Quantity>> {
        Each::from_fn(|resource| {
            let shared = (*self.shared.of(resource))?;
            let has = (*node.allocatable.of(resource))?;
            (shared > has).then_some(shared)
        })
    }

    /// How shares that may be scaled have to be, so that all fit.
    pub(crate) fn scale(&self, node: &NodeView) -> Scale {
        let excess = self.excess(node);
        Each::from_fn(|resource| {
            let shared = (*excess.of(resource))?;
            let has = (*node.allocatable.of(resource))?;
            let scalable = (*self.scalable.of(resource))?;
            let room = has.less(shared.less(scalable));
            Some((room, scalable))
        })
    }
}

impl DaemonSetView {
    /// What one of its pods asks for by itself.
    fn asked(&self) -> Amounts {
        self.whole.unwrap_or_else(|| asked(&self.containers))
    }
}

/// What a pod with these containers asks for: all that run at once, or the largest init container with what runs beside it.
pub(crate) fn asked(containers: &[ContainerView]) -> Amounts {
    Each::from_fn(|resource| {
        let requests = containers.iter();
        together(requests.map(|container| (container.role, *container.requests.of(resource))))
    })
}

/// What containers in the order of a pod take at once, at most.
pub(crate) fn together(
    containers: impl Iterator<Item = (Role, Option<Quantity>)>,
) -> Option<Quantity> {
    let (mut beside, mut most) = (None::<Quantity>, None::<Quantity>);
    for (role, amount) in containers {
        let Some(amount) = amount else { continue };
        let sum = beside.unwrap_or_default().plus(amount);
        if role != Role::Init {
            beside = Some(sum);
        }
        most = most.max(Some(sum));
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::testkit::{Cluster, amounts, container};
    use crate::sizing::view::Term;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn one(requests: &str) -> Vec<ContainerView> {
        vec![container("c", Role::Main, requests)]
    }

    /// A node of 10 CPUs, and DaemonSets that share it.
    fn cluster(templates: &[Value]) -> Cluster {
        let cluster = Cluster::default().node("n", "cpu=10 memory=8Gi");
        let numbered = templates.iter().enumerate();
        numbered.fold(cluster, |cluster, (at, spec)| {
            let name = format!("t{at}");
            let cluster = cluster.template(&name, spec.clone());
            cluster.daemonset(&name, Some(&name), one("cpu=1m memory=1Mi"))
        })
    }

    fn load(cluster: &Cluster) -> Load {
        super::load("n", &cluster.nodes["n"], &cluster.crowd())
    }

    #[test]
    fn an_init_container_counts_only_where_it_is_larger() {
        let of = |role, requests| container("c", role, requests);
        let [main, side] = [Role::Main, Role::Sidecar].map(|role| of(role, "cpu=1 memory=1Gi"));
        let init = of(Role::Init, "cpu=3 memory=512Mi");
        let pod = [side.clone(), init.clone(), main.clone()];
        assert_eq!(asked(&pod), amounts("cpu=4 memory=2Gi"));
        assert_eq!(asked(&[init, side, main]), amounts("cpu=3 memory=2Gi"));
        assert_eq!(asked(&[]), Amounts::default());
    }

    #[test]
    fn what_is_left_is_what_plain_daemonsets_leave() {
        let rest = json!({ "cpuPercentage": 50, "base": "AllocatableMinusDaemonSets" });
        let cluster = cluster(&[rest]).daemonset("plain", None, one("cpu=2 memory=1Gi"));
        let load = load(&cluster);
        assert_eq!(load.plain, amounts("cpu=2 memory=1Gi"));
        assert_eq!(load.shared, amounts("cpu=4"));
        assert_eq!(load.scale(&cluster.nodes["n"]), Scale::default());
    }

    #[test]
    fn only_what_may_be_scaled_gives_way() {
        let cluster = cluster(&[
            json!({ "cpuPercentage": 70 }),
            json!({ "cpuPercentage": 60, "overcommit": "Scale" }),
        ]);
        let (load, node) = (load(&cluster), &cluster.nodes["n"]);
        assert_eq!(load.excess(node).cpu, amounts("cpu=13").cpu);
        let fraction = amounts("cpu=3").cpu.zip(amounts("cpu=6").cpu);
        assert_eq!(load.scale(node).cpu, fraction);
        assert_eq!(load.scale(node).memory, None);
    }

    #[test]
    fn who_does_not_land_here_asks_for_nothing() {
        let mut cluster = cluster(&[]).daemonset("elsewhere", None, one("cpu=2 memory=1Gi"));
        let elsewhere = cluster.daemonsets.get_mut("elsewhere").unwrap();
        Arc::make_mut(elsewhere).landing.terms = vec![Term::default()];
        assert_eq!(load(&cluster), Load::default());
    }
}
