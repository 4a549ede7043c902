//! What is worth telling about a computed share: each clamp, with its numbers. Pure.

use crate::kit::quantity::Quantity;
use crate::sizing::amounts::Resource;
use std::fmt;
use std::sync::Arc;

/// Something that made a share other than its percentage, or left something out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// The node has none of it to give.
    Absent(Resource),
    /// The least amount is more than the node has.
    MinAboveAllocatable(Resource, Quantity),
    /// Less than can be handed out.
    TooSmall(Resource),
    /// Fixed amounts take the whole share, or come to more: so much, of so much.
    FixedTakesAll(Resource, Quantity, Quantity),
    /// Fixed amounts come to more than a pod may have, by a LimitRange, or because the node has no more.
    FixedTooLarge(Resource, Option<Arc<str>>, Quantity),
    /// A LimitRange would refuse the pod with its share, and does not refuse it without.
    WouldBeRefused(Resource, Arc<str>),
    /// A LimitRange bounds what a pod may ask for.
    PodBound(Resource, Arc<str>, Quantity),
    /// A LimitRange bounds what a container may ask for.
    ContainerBound(Resource, Arc<str>, String, Quantity),
    /// A LimitRange bounds how far limits may be from requests.
    LimitBound(Resource, Arc<str>, String),
    /// A LimitRange bounds what the limits of a pod may come to.
    PodLimitBound(Resource, Arc<str>),
    /// A limit that was below the request.
    LimitRaised(Resource, String, Quantity),
    /// Shares come to more than the node has, and the template is made smaller for it.
    Scaled(Resource, Quantity),
}

impl Note {
    /// In a word, for a status and a metric.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Absent(_) => "NotOnNode",
            Self::MinAboveAllocatable(..) => "MinAboveAllocatable",
            Self::TooSmall(_) => "ShareTooSmall",
            Self::FixedTakesAll(..) => "FixedTakesAll",
            Self::FixedTooLarge(..) => "FixedTooLarge",
            Self::PodBound(..)
            | Self::ContainerBound(..)
            | Self::LimitBound(..)
            | Self::PodLimitBound(..)
            | Self::WouldBeRefused(..) => "LimitRange",
            Self::LimitRaised(..) => "LimitRaised",
            Self::Scaled(..) => "Overcommitted",
        }
    }
}

impl Note {
    /// What it is about.
    const fn resource(&self) -> Resource {
        match self {
            Self::Absent(resource)
            | Self::MinAboveAllocatable(resource, _)
            | Self::TooSmall(resource)
            | Self::FixedTakesAll(resource, ..)
            | Self::FixedTooLarge(resource, ..)
            | Self::PodBound(resource, ..)
            | Self::ContainerBound(resource, ..)
            | Self::LimitBound(resource, ..)
            | Self::PodLimitBound(resource, _)
            | Self::WouldBeRefused(resource, _)
            | Self::LimitRaised(resource, ..)
            | Self::Scaled(resource, _) => *resource,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.resource();
        let (key, field) = (resource.key(), resource.field().1);
        let text = |amount: &Quantity| resource.text(*amount);
        let said = match self {
            Self::Absent(_) => format!("the node has no {key} to give: it is left as it is"),
            Self::MinAboveAllocatable(_, min) => format!(
                "min{field} {} is more than the node has: clamped to what it has",
                text(min)
            ),
            Self::TooSmall(_) => format!(
                "the share of {key} is too small to be split over the containers: set min{field}"
            ),
            Self::FixedTakesAll(_, fixed, share) => format!(
                "fixed amounts of {key} come to {}, and the share is {}: containers without one are left as they are",
                text(fixed),
                text(share)
            ),
            Self::FixedTooLarge(_, range, most) => {
                let range = range.as_ref().map(|range| format!("LimitRange {range}"));
                let who = range.unwrap_or_else(|| "the node".into());
                let most = text(most);
                format!(
                    "{who} leaves {most} of {key} for fixed amounts, which come to more: made smaller in proportion"
                )
            }
            Self::PodBound(_, range, bound) => format!(
                "LimitRange {range} allows a pod {} of {key} at this end: clamped",
                text(bound)
            ),
            Self::ContainerBound(_, range, container, bound) => format!(
                "LimitRange {range} allows container {container} {} of {key} at this end: clamped",
                text(bound)
            ),
            Self::LimitBound(_, range, container) => format!(
                "LimitRange {range} bounds the {key} limit of container {container}: clamped"
            ),
            Self::PodLimitBound(_, range) => format!(
                "LimitRange {range} allows a pod less than its {key} limits come to: they are as the requests"
            ),
            Self::WouldBeRefused(_, range) => format!(
                "LimitRange {range} would refuse the pod with its share of {key}, and not without: it is left as it is"
            ),
            Self::LimitRaised(_, container, limit) => format!(
                "the {key} limit of container {container} was below its request: raised to {}",
                text(limit)
            ),
            Self::Scaled(_, amount) => format!(
                "the shares of all DaemonSets come to more {key} than the node has: scaled down to {}",
                text(amount)
            ),
        };
        out.write_str(&said)
    }
}
