//! A template, read once: texts become amounts, and what is to be reported of them is found. Pure.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::{Amounts, Each, Resource};
use crate::sizing::api::{
    Base, ContainerShare, FlexDaemonsetTemplateSpec, Limits, NodeOverride, Overcommit, Remedy,
};
use crate::sizing::view::{Labels, Requirement};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A template that can be computed with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recipe {
    pub(crate) shares: Each<ShareRule>,
    pub(crate) base: Base,
    pub(crate) limits: Each<LimitRule>,
    pub(crate) containers: Vec<ContainerRule>,
    pub(crate) overrides: Vec<(Vec<Requirement>, Each<ShareRule>)>,
    pub(crate) on_change: Remedy,
    pub(crate) repair: Remedy,
    pub(crate) wave: Wave,
    pub(crate) overcommit: Overcommit,
}

/// The share of one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ShareRule {
    pub(crate) percent: Option<u32>,
    pub(crate) min: Option<Quantity>,
    pub(crate) max: Option<Quantity>,
}

/// How a limit follows its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitRule {
    Equal,
    /// A limit stays as it is, and is raised where it is below the request.
    Untouched,
    Percent(u32),
}

/// What one container gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerRule {
    pub(crate) name: String,
    pub(crate) weight: Option<u32>,
    pub(crate) fixed: Amounts,
    pub(crate) is_excluded: bool,
}

/// How many pods may be in the middle of a change at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wave {
    Pods(u32),
    Percent(u32),
}

/// The percentage of a resource, its least and its most, as they are written.
type Numbers<'a> = (Option<i32>, Option<&'a str>, Option<&'a str>);

/// Those of a template, or of an override: the same fields.
macro_rules! numbers {
    ($of:expr) => {
        Each {
            cpu: (
                $of.cpu_percentage,
                $of.min_cpu.as_deref(),
                $of.max_cpu.as_deref(),
            ),
            memory: (
                $of.memory_percentage,
                $of.min_memory.as_deref(),
                $of.max_memory.as_deref(),
            ),
            storage: (
                $of.storage_percentage,
                $of.min_storage.as_deref(),
                $of.max_storage.as_deref(),
            ),
        }
    };
}

impl Wave {
    /// Of so many pods; never none.
    pub(crate) fn of(self, pods: usize) -> usize {
        let size = match self {
            Self::Pods(pods) => usize::try_from(pods).unwrap_or(usize::MAX),
            Self::Percent(percent) => {
                let percent = usize::try_from(percent).unwrap_or(100);
                pods.saturating_mul(percent).div_ceil(100)
            }
        };
        size.max(1)
    }
}

impl Recipe {
    /// Reads a template.
    ///
    /// # Errors
    /// The first thing in it that cannot be used.
    pub(crate) fn read(spec: &FlexDaemonsetTemplateSpec) -> Result<Self, String> {
        let shares = shares(&numbers!(spec))?;
        bounds_fit(&shares, "")?;
        let overrides = spec
            .node_overrides
            .iter()
            .enumerate()
            .map(|(at, entry)| read_override(entry, &shares, at))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            shares,
            base: spec.base,
            limits: read_limits(&spec.limits)?,
            containers: spec
                .containers
                .iter()
                .map(read_container)
                .collect::<Result<_, _>>()?,
            overrides,
            on_change: spec.on_change,
            repair: spec.repair,
            wave: read_wave(&spec.wave)?,
            overcommit: spec.overcommit,
        })
    }

    /// The shares on a node with these labels.
    pub(crate) fn shares_on(&self, labels: &Labels) -> &Each<ShareRule> {
        let matching = self.override_on(labels);
        matching
            .and_then(|at| self.overrides.get(at))
            .map_or(&self.shares, |(_, shares)| shares)
    }

    /// Which override counts on a node with these labels.
    pub(crate) fn override_on(&self, labels: &Labels) -> Option<usize> {
        self.overrides.iter().position(|(selector, _)| {
            selector
                .iter()
                .all(|one| one.matches(|key| labels.get(key)))
        })
    }

    /// What is done for a pod that is not as it should be, and which field says so.
    pub(crate) const fn remedy(&self, was_sized: bool) -> (Remedy, &'static str) {
        if was_sized {
            (self.on_change, "onChange")
        } else {
            (self.repair, "repair")
        }
    }

    /// What a container is to get, where it is named.
    pub(crate) fn container(&self, name: &str) -> Option<&ContainerRule> {
        self.containers.iter().find(|rule| rule.name == name)
    }
}

fn shares(numbers: &Each<Numbers>) -> Result<Each<ShareRule>, String> {
    Ok(Each {
        cpu: share("CPU", numbers.cpu)?,
        memory: share("Memory", numbers.memory)?,
        storage: share("Storage", numbers.storage)?,
    })
}

fn share(name: &str, (percent, min, max): Numbers) -> Result<ShareRule, String> {
    let percent = percent
        .map(|percent| match u32::try_from(percent) {
            Ok(fine @ 1..=100) => Ok(fine),
            _ => Err(format!(
                "{}Percentage {percent} is not from 1 to 100",
                name.to_lowercase()
            )),
        })
        .transpose()?;
    Ok(ShareRule {
        percent,
        min: amount(&format!("min{name}"), min)?,
        max: amount(&format!("max{name}"), max)?,
    })
}

/// An amount that is not below zero.
fn amount(field: &str, text: Option<&str>) -> Result<Option<Quantity>, String> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<Quantity>() {
        Ok(quantity) if quantity < Quantity::ZERO => Err(format!("{field} {text} is below zero")),
        Ok(quantity) => Ok(Some(quantity)),
        Err(mistake) => Err(format!("{field} {text:?}: {mistake}")),
    }
}

fn bounds_fit(shares: &Each<ShareRule>, place: &str) -> Result<(), String> {
    for resource in Resource::ALL {
        let share = shares.of(resource);
        let name = resource.field().1;
        if let (Some(min), Some(max)) = (share.min, share.max)
            && min > max
        {
            return Err(format!(
                "{place}min{name} {} is above max{name} {}",
                resource.text(min),
                resource.text(max)
            ));
        }
    }
    Ok(())
}

fn read_override(
    entry: &NodeOverride,
    whole: &Each<ShareRule>,
    at: usize,
) -> Result<(Vec<Requirement>, Each<ShareRule>), String> {
    let place = format!("nodeOverrides[{at}]: ");
    let told = |mistake: String| format!("{place}{mistake}");
    let own = shares(&numbers!(entry)).map_err(told)?;
    let shares = Each::from_fn(|resource| {
        let (own, whole) = (own.of(resource), whole.of(resource));
        ShareRule {
            percent: own.percent.or(whole.percent),
            min: own.min.or(whole.min),
            max: own.max.or(whole.max),
        }
    });
    bounds_fit(&shares, &place)?;
    let selector = requirements(&entry.node_selector).map_err(told)?;
    Ok((selector, shares))
}

fn requirements(selector: &LabelSelector) -> Result<Vec<Requirement>, String> {
    let exact = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| Requirement {
            key: key.as_str().into(),
            operator: "In".into(),
            values: vec![value.as_str().into()],
        });
    let mut all: Vec<_> = exact.collect();
    for expression in selector.match_expressions.iter().flatten() {
        let operator = expression.operator.as_str();
        let values: Vec<_> = expression
            .values
            .iter()
            .flatten()
            .map(|value| value.as_str().into())
            .collect();
        match (operator, values.is_empty()) {
            ("In" | "NotIn", false) | ("Exists" | "DoesNotExist", true) => {}
            ("In" | "NotIn", true) => {
                return Err(format!("{operator} on {} needs values", expression.key));
            }
            ("Exists" | "DoesNotExist", false) => {
                return Err(format!("{operator} on {} takes no values", expression.key));
            }
            _ => {
                return Err(format!(
                    "{operator:?} is no operator; use In, NotIn, Exists or DoesNotExist"
                ));
            }
        }
        all.push(Requirement {
            key: expression.key.as_str().into(),
            operator: operator.into(),
            values,
        });
    }
    Ok(all)
}

fn read_limits(limits: &Limits) -> Result<Each<LimitRule>, String> {
    Ok(Each {
        cpu: limit("cpu", &limits.cpu)?,
        memory: limit("memory", &limits.memory)?,
        storage: limit("storage", &limits.storage)?,
    })
}

fn limit(field: &str, text: &str) -> Result<LimitRule, String> {
    match text {
        "Equal" => Ok(LimitRule::Equal),
        "None" => Ok(LimitRule::Untouched),
        _ => match text
            .strip_suffix('%')
            .and_then(|percent| percent.parse().ok())
        {
            Some(percent @ 100..=9999) => Ok(LimitRule::Percent(percent)),
            _ => Err(format!(
                "limits.{field} {text:?} is not Equal, None or a percentage from 100% to 9999%"
            )),
        },
    }
}

fn read_container(share: &ContainerShare) -> Result<ContainerRule, String> {
    let place = format!("containers[{}]", share.name);
    let fixed = share.fixed.clone().unwrap_or_default();
    let fixed = Each {
        cpu: amount(&format!("{place}.fixed.cpu"), fixed.cpu.as_deref())?,
        memory: amount(&format!("{place}.fixed.memory"), fixed.memory.as_deref())?,
        storage: amount(&format!("{place}.fixed.storage"), fixed.storage.as_deref())?,
    };
    let weight = share
        .weight
        .map(|weight| match u32::try_from(weight) {
            Ok(fine @ 1..=10_000) => Ok(fine),
            _ => Err(format!("{place}.weight {weight} is not from 1 to 10000")),
        })
        .transpose()?;
    if share.exclude && (weight.is_some() || share.fixed.is_some()) {
        return Err(format!(
            "{place} is excluded, and so has neither weight nor fixed amounts"
        ));
    }
    Ok(ContainerRule {
        name: share.name.clone(),
        weight,
        fixed,
        is_excluded: share.exclude,
    })
}

fn read_wave(wave: &IntOrString) -> Result<Wave, String> {
    let mistake =
        || "wave is not a number of at least 1, or a percentage from 1% to 100%".to_owned();
    match wave {
        IntOrString::Int(pods) => match u32::try_from(*pods) {
            Ok(pods @ 1..) => Ok(Wave::Pods(pods)),
            _ => Err(mistake()),
        },
        IntOrString::String(text) => {
            match text.strip_suffix('%').and_then(|text| text.parse().ok()) {
                Some(percent @ 1..=100) => Ok(Wave::Percent(percent)),
                _ => Err(mistake()),
            }
        }
    }
}
