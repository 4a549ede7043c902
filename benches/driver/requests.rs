//! The requests: one text for each `DaemonSet`, in which uid, node and `DaemonSet` are replaced in place. Pure.
//!
//! `review.json` is what a kube-apiserver 1.35 sent for a pod of a `DaemonSet` with two containers, as it stood on the wire; only the
//! three names are left open, and a label whose length is another one for each `DaemonSet`: no two of them have pods that are alike to
//! the letter. The head is an API server's too.

use crate::driver::population::Population;
use anyhow::{Context, ensure};
use std::ops::Range;

const REVIEW: &str = include_str!("review.json");
/// Length of a uid as text.
const UID: usize = 36;

/// What is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Uid,
    Node,
    DaemonSet,
    DaemonSetUid,
}

/// A label's value, which stays as it is.
const LETTERS: &str = "{{letters}}";

const SLOTS: [(&str, Slot); 4] = [
    ("{{uid}}", Slot::Uid),
    ("{{node}}", Slot::Node),
    ("{{daemonset}}", Slot::DaemonSet),
    ("{{daemonset-uid}}", Slot::DaemonSetUid),
];

/// A drawn request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) uid: [u8; UID],
    pub(crate) node: usize,
    pub(crate) daemon_set: usize,
}

/// Draws one request after the other.
pub(crate) struct Requests {
    /// For each `DaemonSet`.
    texts: Vec<Text>,
    population: Population,
    seed: u64,
    drawn: u64,
}

/// The requests for pods of one `DaemonSet`.
struct Text {
    bytes: Vec<u8>,
    head: usize,
    slots: Vec<(Range<usize>, Slot)>,
}

impl Text {
    fn new(
        (host, path): (&str, &str),
        population: &Population,
        number: usize,
    ) -> anyhow::Result<Self> {
        let node = population.nodes.first().context("no node")?;
        let set = population.daemon_sets.first().context("no DaemonSet")?;
        let uid = "0".repeat(UID);
        let value = |slot| match slot {
            Slot::Uid => uid.as_str(),
            Slot::Node => &node.name,
            Slot::DaemonSet => &set.name,
            Slot::DaemonSetUid => &set.uid,
        };
        let review = REVIEW.replace(LETTERS, &"x".repeat(number));
        let (body, slots) = fill(review.trim_end(), value);
        for (_, slot) in SLOTS {
            ensure!(
                slots.iter().any(|(_, found)| *found == slot),
                "review.json has no {slot:?}"
            );
        }
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kube-apiserver-admission\r\nContent-Length: {}\r\n\
             Accept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n",
            body.len()
        );
        let moved = slots.into_iter().map(|(range, slot)| {
            let by = |at: usize| at.saturating_add(head.len());
            (by(range.start)..by(range.end), slot)
        });
        Ok(Self {
            slots: moved.collect(),
            head: head.len(),
            bytes: [head.as_bytes(), body.as_bytes()].concat(),
        })
    }
}

impl Requests {
    /// Requests for a path, that name what is in `population`.
    pub(crate) fn new(
        host: &str,
        path: &str,
        population: Population,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let numbers = 0..population.daemon_sets.len();
        let texts: anyhow::Result<Vec<_>> = numbers
            .map(|number| Text::new((host, path), &population, number))
            .collect();
        Ok(Self {
            texts: texts?,
            population,
            seed,
            drawn: 0,
        })
    }

    /// The next request: what it asks, and its bytes.
    pub(crate) fn draw(&mut self) -> (Question, &[u8]) {
        let number = self.drawn;
        self.drawn = self.drawn.saturating_add(1);
        let random = mixed(number.wrapping_add(self.seed.wrapping_mul(0x1_0000_0000)));
        let question = Question {
            uid: uid(random, mixed(!random)),
            node: pick(random, self.population.nodes.len()),
            daemon_set: pick(random.rotate_left(32), self.population.daemon_sets.len()),
        };
        (question, self.ask(question))
    }

    /// The bytes of this request.
    pub(crate) fn ask(&mut self, question: Question) -> &[u8] {
        let node = self.population.nodes.get(question.node);
        let set = self.population.daemon_sets.get(question.daemon_set);
        let Some(text) = self.texts.get_mut(question.daemon_set) else {
            return &[];
        };
        for (range, slot) in &text.slots {
            let value = match slot {
                Slot::Uid => Some(&question.uid[..]),
                Slot::Node => node.map(|node| node.name.as_bytes()),
                Slot::DaemonSet => set.map(|set| set.name.as_bytes()),
                Slot::DaemonSetUid => set.map(|set| set.uid.as_bytes()),
            };
            if let (Some(place), Some(value)) = (text.bytes.get_mut(range.clone()), value)
                && place.len() == value.len()
            {
                place.copy_from_slice(value);
            }
        }
        &text.bytes
    }

    /// The body of this request, without its head.
    pub(crate) fn body(&mut self, question: Question) -> &[u8] {
        let head = self
            .texts
            .get(question.daemon_set)
            .map_or(0, |text| text.head);
        self.ask(question).get(head..).unwrap_or_default()
    }

    pub(crate) fn population(&self) -> &Population {
        &self.population
    }
}

/// The text with every marker replaced, and where.
fn fill<'a>(text: &str, value: impl Fn(Slot) -> &'a str) -> (String, Vec<(Range<usize>, Slot)>) {
    let (mut filled, mut slots, mut rest) = (String::new(), Vec::new(), text);
    let next = |rest: &str| {
        let found = SLOTS
            .into_iter()
            .filter_map(|(marker, slot)| rest.find(marker).map(|at| (at, marker, slot)));
        found.min_by_key(|(at, ..)| *at)
    };
    while let Some((at, marker, slot)) = next(rest) {
        let (before, after) = rest.split_at(at);
        filled.push_str(before);
        let start = filled.len();
        filled.push_str(value(slot));
        slots.push((start..filled.len(), slot));
        rest = after.strip_prefix(marker).unwrap_or(after);
    }
    filled.push_str(rest);
    (filled, slots)
}

/// The mixing function of splitmix64: different numbers stay different.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One of so many, by the lower half of a random number.
fn pick(random: u64, many: usize) -> usize {
    let many = u64::try_from(many).unwrap_or(u64::MAX);
    let lower = random & 0xffff_ffff;
    usize::try_from(lower.wrapping_mul(many) >> 32).unwrap_or(0)
}

/// 128 bits as a uid.
fn uid(high: u64, low: u64) -> [u8; UID] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; UID];
    let bits = (u128::from(high) << 64) | u128::from(low);
    let digits = (0..32_u32)
        .rev()
        .map(|at| bits.unbounded_shr(at.saturating_mul(4)) & 15);
    let places = text
        .iter_mut()
        .enumerate()
        .filter(|(at, _)| ![8, 13, 18, 23].contains(at));
    for ((_, place), digit) in places.zip(digits) {
        let digit = usize::try_from(digit).unwrap_or(0);
        *place = DIGITS.get(digit).copied().unwrap_or(b'0');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::HashSet;

    fn requests() -> Requests {
        Requests::new("127.0.0.1:1", "/mutate", Population::made_up(500, 20), 7).unwrap()
    }

    fn review(requests: &mut Requests, question: Question) -> Value {
        serde_json::from_slice(requests.body(question)).unwrap()
    }

    #[test]
    fn a_request_names_its_node_and_daemonset_wherever_they_stand() {
        let mut requests = requests();
        let (question, _) = requests.draw();
        let review = review(&mut requests, question);
        let node = &requests.population.nodes[question.node].name;
        let set = &requests.population.daemon_sets[question.daemon_set];
        let pod = &review["request"]["object"];
        let owner = &pod["metadata"]["ownerReferences"][0];
        assert_eq!(
            review["request"]["uid"].as_str().unwrap().as_bytes(),
            question.uid
        );
        assert_eq!(
            (&owner["name"], &owner["uid"]),
            (&Value::from(&*set.name), &Value::from(&*set.uid))
        );
        assert_eq!(pod["metadata"]["generateName"], format!("{}-", set.name));
        let affinity = pod["spec"]["affinity"].to_string();
        assert!(affinity.contains(&format!("[\"{node}\"]")), "{affinity}");
    }

    #[test]
    fn the_head_tells_the_length_of_the_body() {
        let mut requests = requests();
        let text = String::from_utf8(requests.draw().1.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("\r\nContent-Length: {}", body.len())),
            "{head}"
        );
        assert!((5_000..8_000).contains(&body.len()), "{}", body.len());
    }

    #[test]
    fn every_uid_is_new_and_many_nodes_are_named() {
        let mut requests = requests();
        let drawn: Vec<_> = (0..5000).map(|_| requests.draw().0).collect();
        let uids: HashSet<_> = drawn.iter().map(|question| question.uid).collect();
        let nodes: HashSet<_> = drawn.iter().map(|question| question.node).collect();
        let sets: HashSet<_> = drawn.iter().map(|question| question.daemon_set).collect();
        assert_eq!((uids.len(), sets.len()), (5000, 20));
        assert!(nodes.len() > 490, "{}", nodes.len());
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let (mut one, mut other) = (requests(), requests());
        for _ in 0..100 {
            assert_eq!(one.draw(), other.draw());
        }
    }

    #[test]
    fn a_uid_looks_like_one() {
        assert_eq!(
            &uid(0x0123_4567_89ab_cdef, 1),
            b"01234567-89ab-cdef-0000-000000000001"
        );
    }
}
