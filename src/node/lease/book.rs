//! What the Lease of a node says, and how it is written. Pure. Programs read the annotations; HOLDER is for people.

use crate::kit::digest::Digest;
use crate::kit::names::{LEASE_LABEL, LEASE_NODE, LEASE_ROOT, LEASE_SEATS};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

/// What the names of these Leases begin with.
const PREFIX: &str = "holdfast-node-";
/// No object's name is longer.
const LONGEST: usize = 253;
/// So many letters of a digest tell a long name from others that begin like it.
const TELLING: usize = 16;
/// HOLDER of a Lease that no root holds begins with it.
const MOVES: &str = "moves: ";
/// So many of them are named there.
const NAMED: usize = 3;

/// What the Lease of a node is called. A node's name may be as long as a Lease's.
#[must_use]
pub fn lease_name(node: &str) -> String {
    let whole = format!("{PREFIX}{node}");
    if whole.len() <= LONGEST {
        return whole;
    }
    let digest = Digest::of(node.as_bytes());
    let telling: String = digest.text().chars().take(TELLING).collect();
    let room = LONGEST.saturating_sub(TELLING).saturating_sub(1);
    let begin: String = whole.chars().take(room).collect();
    // A part of a name ends with a letter or a digit.
    format!("{}-{telling}", begin.trim_end_matches(['.', '-']))
}

/// An object, named so that anybody can ask whether it is still there, whatever its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Its group and version.
    pub api_version: String,
    /// Its kind, for people.
    pub kind: String,
    /// Its kind, as paths have it: nobody has to look it up.
    pub plural: String,
    /// Where it is, if it is in a namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its uid: a namesake is another one.
    pub uid: String,
}

impl Reference {
    /// As people call it.
    #[must_use]
    pub fn said(&self) -> String {
        let Self { kind, name, .. } = self;
        match &self.namespace {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        }
    }
}

/// A root operation that holds a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// One whose object can be asked about.
    Object(Reference),
    /// Somebody who wrote no more than this, by hand: nobody else can say when it is over.
    Somebody(String),
}

impl Root {
    /// As people call it.
    #[must_use]
    pub fn said(&self) -> String {
        match self {
            Self::Object(object) => object.said(),
            Self::Somebody(said) => said.clone(),
        }
    }

    /// Of its object.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        match self {
            Self::Object(object) => Some(&object.uid),
            Self::Somebody(_) => None,
        }
    }
}

/// A move that takes part in a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seat {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The root operation that caused it, by its uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
}

impl Seat {
    /// As people call it.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// What a Lease says of its node. The node is meant by its name: one that is made again under it is in the same use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    /// The node.
    pub node: String,
    /// Who holds it.
    pub root: Option<Root>,
    /// Which moves take part in it.
    pub seats: Vec<Seat>,
}

impl Book {
    /// Of a node that has no Lease.
    #[must_use]
    pub fn blank(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            ..Self::default()
        }
    }

    /// Nothing stands in it.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.root.is_none() && self.seats.is_empty()
    }

    /// What a Lease says. Who holds it is never overlooked: what cannot be read is somebody.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(lease: &Lease) -> Result<Self, String> {
        let said = |key: &str| lease.annotations().get(key);
        let node =
            said(LEASE_NODE).ok_or_else(|| format!("the annotation {LEASE_NODE} is gone"))?;
        if lease_name(node) != lease.name_any() {
            return Err(format!(
                "it speaks of node {node}, whose Lease is called otherwise"
            ));
        }
        let seats = said(LEASE_SEATS).map_or(Ok(Vec::new()), |text| serde_json::from_str(text));
        let seats =
            seats.map_err(|error| format!("the annotation {LEASE_SEATS} is none: {error}"))?;
        let holder = lease.spec.as_ref();
        let holder = holder.and_then(|spec| spec.holder_identity.clone());
        let holder = holder.filter(|holder| !holder.is_empty() && !holder.starts_with(MOVES));
        let root = match said(LEASE_ROOT).map(|text| serde_json::from_str(text)) {
            Some(Ok(object)) => Some(Root::Object(object)),
            Some(Err(_)) => Some(Root::Somebody(
                holder.unwrap_or_else(|| "somebody".to_owned()),
            )),
            None => holder.map(Root::Somebody),
        };
        Ok(Self {
            node: node.clone(),
            root,
            seats,
        })
    }

    /// As it is written, over what was seen.
    #[must_use]
    pub fn written(&self, seen: Option<&Lease>, namespace: &str, now: Timestamp) -> Lease {
        let former = seen.and_then(|lease| Self::read(lease).ok());
        let mut lease = seen.cloned().unwrap_or_default();
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if former.and_then(|former| former.root) != self.root {
            spec.acquire_time = self.root.is_some().then_some(MicroTime(now));
            let before = spec.lease_transitions.unwrap_or_default();
            spec.lease_transitions = Some(before.saturating_add(1));
        }
        spec.holder_identity = self.holder();
        lease.metadata.name = Some(lease_name(&self.node));
        lease.metadata.namespace = Some(namespace.to_owned());
        lease.labels_mut().insert(LEASE_LABEL.into(), String::new());
        let object = match &self.root {
            Some(Root::Object(object)) => serde_json::to_string(object).ok(),
            _ => None,
        };
        let seats = (!self.seats.is_empty()).then(|| serde_json::to_string(&self.seats).ok());
        let notes = [
            (LEASE_NODE, Some(self.node.clone())),
            (LEASE_ROOT, object),
            (LEASE_SEATS, seats.flatten()),
        ];
        for (key, note) in notes {
            let annotations = lease.annotations_mut();
            match note {
                Some(note) => annotations.insert(key.to_owned(), note),
                None => annotations.remove(key),
            };
        }
        lease
    }

    /// What stands under HOLDER.
    fn holder(&self) -> Option<String> {
        if let Some(root) = &self.root {
            let uid = root.uid().map(|uid| format!(" {uid}"));
            return Some(root.said() + &uid.unwrap_or_default());
        }
        (!self.seats.is_empty()).then(|| format!("{MOVES}{}", named(&self.seats)))
    }
}

/// A few of them by their names, and how many more there are.
pub(super) fn named<'a>(seats: impl IntoIterator<Item = &'a Seat>) -> String {
    let all: Vec<_> = seats.into_iter().map(Seat::said).collect();
    let named: Vec<_> = all.iter().take(NAMED).map(String::as_str).collect();
    let named = named.join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::lease::samples::{root, seat};

    fn written(book: &Book, seen: Option<&Lease>) -> Lease {
        let lease = book.written(seen, "holdfast-system", Timestamp::UNIX_EPOCH);
        assert_eq!(Book::read(&lease).as_ref(), Ok(book), "{lease:?}");
        lease
    }

    fn holder(lease: &Lease) -> Option<&str> {
        lease.spec.as_ref()?.holder_identity.as_deref()
    }

    #[test]
    fn what_is_written_is_read_again_and_people_see_who_it_is() {
        let mut book = Book::blank("n1");
        book.seats = ["a", "b", "c", "d"].map(seat).to_vec();
        let moves = written(&book, None);
        assert_eq!(moves.name_any(), "holdfast-node-n1");
        assert_eq!(
            holder(&moves),
            Some("moves: apps/a, apps/b, apps/c and 1 more")
        );
        assert_eq!(moves.spec.as_ref().unwrap().acquire_time, None);
        book.root = Some(Root::Object(root("up")));
        let held = written(&book, Some(&moves));
        assert_eq!(holder(&held), Some("NodeOp ops/up up"));
        let spec = held.spec.as_ref().unwrap();
        assert!(spec.acquire_time.is_some());
        assert_eq!(spec.lease_transitions, Some(1));
        book.seats.clear();
        let alone = written(&book, Some(&held));
        assert_eq!(alone.spec.unwrap().lease_transitions, Some(1));
        book.root = None;
        let blank = written(&book, Some(&held));
        assert_eq!(holder(&blank), None);
        assert_eq!(blank.spec.unwrap().acquire_time, None);
    }

    #[test]
    fn what_others_wrote_on_it_stays() {
        let mut lease = written(&Book::blank("n1"), None);
        lease.annotations_mut().insert("why".into(), "hm".into());
        lease.metadata.resource_version = Some("7".into());
        let mut book = Book::blank("n1");
        book.seats = vec![seat("a")];
        let next = written(&book, Some(&lease));
        assert_eq!(next.annotations()["why"], "hm");
        assert_eq!(next.resource_version().as_deref(), Some("7"));
    }

    #[test]
    fn a_holder_that_cannot_be_read_is_somebody() {
        let mut lease = written(&Book::blank("n1"), None);
        let alice = || Some(Root::Somebody("alice".into()));
        lease.spec.as_mut().unwrap().holder_identity = Some("alice".into());
        assert_eq!(Book::read(&lease).unwrap().root, alice());
        let by_hand = Book::read(&lease).unwrap();
        written(&by_hand, Some(&lease));
        lease
            .annotations_mut()
            .insert(LEASE_ROOT.into(), "{}".into());
        assert_eq!(Book::read(&lease).unwrap().root, alice());
        lease.spec.as_mut().unwrap().holder_identity = None;
        let somebody = Book::read(&lease).unwrap().root.unwrap();
        assert_eq!(somebody.said(), "somebody");
    }

    #[test]
    fn what_makes_no_sense_is_not_taken_for_nothing() {
        let mut lease = written(&Book::blank("n1"), None);
        lease
            .annotations_mut()
            .insert(LEASE_SEATS.into(), "two".into());
        assert!(Book::read(&lease).unwrap_err().contains(LEASE_SEATS));
        let mut other = written(&Book::blank("n1"), None);
        other
            .annotations_mut()
            .insert(LEASE_NODE.into(), "n2".into());
        assert!(Book::read(&other).unwrap_err().contains("node n2"));
        assert!(Book::read(&Lease::default()).is_err());
    }

    #[test]
    fn long_names_of_nodes_are_told_apart() {
        assert_eq!(lease_name("a.b"), "holdfast-node-a.b");
        let long = |end: &str| format!("{}.{end}", "n".repeat(245));
        let [one, other] = [lease_name(&long("abcdef")), lease_name(&long("abcdeg"))];
        assert_ne!(one, other);
        assert_eq!(one, lease_name(&long("abcdef")));
        assert!(one.len() <= LONGEST && !one.contains(".-"), "{one}");
        let exact = "n".repeat(LONGEST - PREFIX.len());
        assert_eq!(lease_name(&exact), format!("{PREFIX}{exact}"));
    }
}
