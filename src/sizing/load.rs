//! What all DaemonSets of a node ask for together: what is left for a share that is taken of the rest, and by how much shares are made
//! smaller where they come to more than the node has. Pure.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Each};
use crate::sizing::api::Overcommit;
use crate::sizing::recipe::Recipe;
use crate::sizing::share::{Inputs, shares};
use crate::sizing::view::{ContainerView, DaemonSetView, NodeView, Role};

/// A share that is scaled: of so much, only so much.
pub(crate) type Scale = Each<Option<(Quantity, Quantity)>>;

/// What DaemonSets ask of one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Those that name no template, by their own requests.
    pub(crate) plain: Amounts,
    /// The shares of those that name one, before any of them is scaled.
    pub(crate) shared: Amounts,
    /// Of these: what templates ask for that may be scaled.
    pub(crate) scalable: Amounts,
}

/// What all of `daemonsets` ask of a node; each comes with the template that it names, if that can be used.
pub(crate) fn load<'a, I>(name: &str, node: &NodeView, daemonsets: I) -> Load
where
    I: Iterator<Item = (&'a DaemonSetView, Option<&'a Recipe>)> + Clone,
{
    let here = daemonsets.filter(|(daemonset, _)| daemonset.landing.is_on(name, node));
    let plain = here
        .clone()
        .filter(|(_, recipe)| recipe.is_none())
        .fold(Amounts::default(), |sum, (daemonset, _)| {
            sum.plus(&asked(&daemonset.containers))
        });
    let mut load = Load {
        plain,
        ..Load::default()
    };
    for (daemonset, recipe) in here.filter_map(|(daemonset, recipe)| Some((daemonset, recipe?))) {
        let inputs = Inputs {
            recipe,
            node,
            daemonset,
            limit_ranges: &[],
            others: &plain,
            scale: &Scale::default(),
        };
        let shares = shares(&inputs, &Amounts::default(), &mut Vec::new());
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

/// What a pod with these containers asks for: all that run at once, or the largest init container with what runs beside it.
pub(crate) fn asked(containers: &[ContainerView]) -> Amounts {
    Each::from_fn(|resource| {
        let (mut beside, mut most) = (None::<Quantity>, None::<Quantity>);
        for container in containers {
            let Some(request) = *container.requests.of(resource) else {
                continue;
            };
            let together = beside.unwrap_or_default().plus(request);
            if container.role != Role::Init {
                beside = Some(together);
            }
            most = most.max(Some(together));
        }
        most.max(beside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizing::api::{Base, FlexDaemonsetTemplateSpec};

    fn amounts(cpu: &str, memory: &str) -> Amounts {
        let read = |text: &str| Some(text.parse().unwrap());
        Amounts {
            cpu: read(cpu),
            memory: read(memory),
            storage: None,
        }
    }

    fn node(cpu: &str, memory: &str) -> NodeView {
        NodeView {
            allocatable: amounts(cpu, memory),
            ..NodeView::default()
        }
    }

    fn container(role: Role, cpu: &str, memory: &str) -> ContainerView {
        ContainerView {
            name: "c".into(),
            role,
            requests: amounts(cpu, memory),
            limits: Amounts::default(),
        }
    }

    fn daemonset(cpu: &str, memory: &str) -> DaemonSetView {
        DaemonSetView {
            containers: vec![container(Role::Main, cpu, memory)],
            ..DaemonSetView::default()
        }
    }

    fn recipe(cpu: i32, overcommit: Overcommit, base: Base) -> Recipe {
        Recipe::read(&FlexDaemonsetTemplateSpec {
            cpu_percentage: Some(cpu),
            overcommit,
            base,
            ..Default::default()
        })
        .unwrap()
    }

    #[test]
    fn an_init_container_counts_only_where_it_is_larger() {
        let [main, side] = [Role::Main, Role::Sidecar].map(|role| container(role, "1", "1Gi"));
        let init = container(Role::Init, "3", "512Mi");
        let pod = [side.clone(), init.clone(), main.clone()];
        assert_eq!(asked(&pod), amounts("4", "2Gi"));
        assert_eq!(asked(&[init, side, main]), amounts("3", "2Gi"));
        assert_eq!(asked(&[]), Amounts::default());
    }

    #[test]
    fn what_is_left_is_what_plain_daemonsets_leave() {
        let plain = daemonset("2", "1Gi");
        let (some, rest) = (
            daemonset("1m", "1Mi"),
            recipe(50, Overcommit::Warn, Base::AllocatableMinusDaemonSets),
        );
        let all = [(&plain, None), (&some, Some(&rest))];
        let load = load("n", &node("10", "8Gi"), all.into_iter());
        assert_eq!(load.plain, amounts("2", "1Gi"));
        assert_eq!(load.shared.cpu, Some("4".parse().unwrap()));
        assert_eq!(load.scale(&node("10", "8Gi")), Scale::default());
    }

    #[test]
    fn only_what_may_be_scaled_gives_way() {
        let ds = daemonset("1m", "1Mi");
        let firm = recipe(70, Overcommit::Warn, Base::Allocatable);
        let soft = recipe(60, Overcommit::Scale, Base::Allocatable);
        let all = [(&ds, Some(&firm)), (&ds, Some(&soft))];
        let node = node("10", "8Gi");
        let load = load("n", &node, all.into_iter());
        assert_eq!(load.excess(&node).cpu, Some("13".parse().unwrap()));
        let scale = load.scale(&node).cpu;
        assert_eq!(scale, Some(("3".parse().unwrap(), "6".parse().unwrap())));
        assert_eq!(load.scale(&node).memory, None);
    }

    #[test]
    fn who_does_not_land_here_asks_for_nothing() {
        let mut elsewhere = daemonset("2", "1Gi");
        elsewhere.landing.terms = vec![crate::sizing::view::Term::default()];
        let load = load("n", &node("10", "8Gi"), [(&elsewhere, None)].into_iter());
        assert_eq!(load, Load::default());
    }
}
