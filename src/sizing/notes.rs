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
    /// Fixed amounts take the whole share.
    FixedTakesAll(Resource, Quantity),
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
            Self::PodBound(..)
            | Self::ContainerBound(..)
            | Self::LimitBound(..)
            | Self::PodLimitBound(..) => "LimitRange",
            Self::LimitRaised(..) => "LimitRaised",
            Self::Scaled(..) => "Overcommitted",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(resource) => write!(
                out,
                "the node has no {} to give: it is left as it is",
                resource.key()
            ),
            Self::MinAboveAllocatable(resource, min) => write!(
                out,
                "min{} {} is more than the node has: clamped to what it has",
                resource.field().1,
                resource.text(*min)
            ),
            Self::TooSmall(resource) => write!(
                out,
                "the share of {} is too small to be split over the containers: set min{}",
                resource.key(),
                resource.field().1
            ),
            Self::FixedTakesAll(resource, fixed) => write!(
                out,
                "fixed amounts of {} come to {}, which is all of the share or more: the other containers are left as they are",
                resource.key(),
                resource.text(*fixed)
            ),
            Self::PodBound(resource, range, bound) => write!(
                out,
                "LimitRange {range} allows a pod {} of {} at this end: clamped",
                resource.text(*bound),
                resource.key()
            ),
            Self::ContainerBound(resource, range, container, bound) => write!(
                out,
                "LimitRange {range} allows container {container} {} of {} at this end: clamped",
                resource.text(*bound),
                resource.key()
            ),
            Self::LimitBound(resource, range, container) => write!(
                out,
                "LimitRange {range} bounds the {} limit of container {container}: clamped",
                resource.key()
            ),
            Self::PodLimitBound(resource, range) => write!(
                out,
                "LimitRange {range} allows a pod less than its {} limits come to: they are as the requests",
                resource.key()
            ),
            Self::LimitRaised(resource, container, limit) => write!(
                out,
                "the {} limit of container {container} was below its request: raised to {}",
                resource.key(),
                resource.text(*limit)
            ),
            Self::Scaled(resource, amount) => write!(
                out,
                "the shares of all DaemonSets come to more {} than the node has: scaled down to {}",
                resource.key(),
                resource.text(*amount)
            ),
        }
    }
}
