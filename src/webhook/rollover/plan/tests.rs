use super::*;
use crate::webhook::tls::certificates;

const LIFE: Duration = Duration::from_secs(900);
const LEAF: Duration = Duration::from_secs(90);
const GRACE: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds.saturating_add(1_800_000_000)).unwrap()
}

fn made(seconds: i64) -> Authority {
    Authority::create("test", LIFE, at(seconds)).unwrap()
}

fn ders(pem: &str) -> BTreeSet<Der> {
    let found = certificates(pem.as_bytes()).unwrap();
    found.iter().map(|der| der.to_vec()).collect()
}

/// A cluster with two configurations, and a leader that takes one step at a time.
struct Cluster {
    authorities: Authorities,
    trusted: [BTreeSet<Der>; 2],
}

impl Cluster {
    fn new() -> Self {
        Self {
            authorities: Authorities::of(made(0)),
            trusted: [BTreeSet::new(), BTreeSet::new()],
        }
    }

    fn plan(&self, seconds: i64) -> Option<Step> {
        let wanted = ders(&self.authorities.trusted(LEAF, GRACE, at(seconds)));
        let next = self.authorities.next.as_ref();
        let next = next.map(|next| ders(next.authority.certificate()).pop_first().unwrap());
        plan(&Seen {
            authorities: &self.authorities,
            wanted: &wanted,
            next: next.as_ref(),
            trusted: &self.trusted,
            leaf: LEAF,
            grace: GRACE,
            now: at(seconds),
        })
    }

    /// Takes one step, as a leader would; a publication reaches one configuration.
    fn step(&mut self, seconds: i64) -> Option<Step> {
        let step = self.plan(seconds)?;
        let authorities = self.authorities.clone();
        self.authorities = match step {
            Step::Prepare => authorities.prepared(made(seconds)),
            Step::Announce => authorities.announced(Some(at(seconds))),
            Step::Retract => authorities.announced(None),
            Step::Promote => authorities.promoted(at(seconds)),
            Step::Forget => authorities.forgetting(),
            Step::Publish => {
                let wanted = ders(&authorities.trusted(LEAF, GRACE, at(seconds)));
                let one = self.trusted.iter_mut().find(|trusted| **trusted != wanted);
                *one.unwrap() = wanted;
                authorities
            }
        };
        Some(step)
    }

    fn steps(&mut self, seconds: i64) -> Vec<Step> {
        std::iter::from_fn(|| self.step(seconds)).collect()
    }

    fn trusts(&self, authority: &Authority) -> bool {
        let needed = ders(authority.certificate());
        self.trusted
            .iter()
            .all(|trusted| trusted.is_superset(&needed))
    }
}

#[test]
fn an_authority_gives_way_to_the_next_in_the_order_of_the_table() {
    let mut cluster = Cluster::new();
    assert_eq!(cluster.steps(0), [Step::Publish, Step::Publish]);
    assert_eq!(cluster.steps(599), []);
    let publish_both = [Step::Publish, Step::Publish];
    let [prepare, announce] = [Step::Prepare, Step::Announce];
    let expected: Vec<_> = [prepare]
        .into_iter()
        .chain(publish_both)
        .chain([announce])
        .collect();
    assert_eq!(cluster.steps(600), expected);
    assert_eq!(cluster.steps(659), []);
    let former = cluster.authorities.current.clone();
    assert_eq!(cluster.steps(660), [Step::Promote]);
    assert!(cluster.trusts(&former), "what it signed is still served");
    assert_eq!(cluster.steps(660 + 149), []);
    let expected: Vec<_> = publish_both.into_iter().chain([Step::Forget]).collect();
    assert_eq!(cluster.steps(660 + 150), expected);
    assert!(!cluster.trusts(&former));
    assert_eq!(cluster.steps(660 + 151), []);
}

#[test]
fn whatever_signed_within_a_leafs_life_is_trusted_everywhere_at_every_moment() {
    let mut cluster = Cluster::new();
    cluster.steps(0);
    let mut signers = vec![(0, cluster.authorities.current.clone())];
    let mut changes = 0;
    for second in (0..6000).step_by(7) {
        while cluster.step(second).is_some() {
            let current = cluster.authorities.current.clone();
            if signers.last().unwrap().1 != current {
                signers.push((second, current));
                changes += 1;
            }
            // A signer counts until a leaf's life after its successor took over.
            let is_needed = |index: usize| {
                signers
                    .get(index + 1)
                    .is_none_or(|(replaced, _)| second - replaced <= 90)
            };
            for (index, (_, authority)) in signers.iter().enumerate() {
                assert!(
                    !is_needed(index) || cluster.trusts(authority),
                    "{second} s, signer {index}"
                );
            }
        }
    }
    assert!(changes >= 8, "{changes}");
}

#[test]
fn a_configuration_that_loses_the_next_authority_begins_the_grace_anew() {
    let mut cluster = Cluster::new();
    cluster.steps(0);
    cluster.steps(600);
    cluster.trusted[1].clear();
    assert_eq!(
        cluster.steps(659),
        [Step::Retract, Step::Publish, Step::Announce]
    );
    assert_eq!(cluster.steps(660), []);
    assert_eq!(cluster.steps(659 + 60), [Step::Promote]);
}

#[test]
fn a_clock_that_was_set_back_begins_the_grace_anew() {
    let mut cluster = Cluster::new();
    cluster.steps(0);
    cluster.steps(700);
    assert_eq!(cluster.steps(650), [Step::Retract, Step::Announce]);
    assert_eq!(cluster.steps(710), [Step::Promote]);
}

#[test]
fn an_authority_that_is_over_does_not_wait_for_the_grace() {
    let mut cluster = Cluster::new();
    cluster.steps(0);
    let steps = cluster.steps(1000);
    assert_eq!(steps.first(), Some(&Step::Prepare));
    assert_eq!(steps.last(), Some(&Step::Promote));
    assert!(cluster.authorities.current.validity().holds(at(1000)));
}

#[test]
fn what_somebody_adds_or_empties_is_put_right() {
    let mut cluster = Cluster::new();
    cluster.steps(0);
    cluster.trusted[0].clear();
    assert_eq!(cluster.steps(1), [Step::Publish]);
    cluster.trusted[1].insert(b"foreign".to_vec());
    assert_eq!(cluster.steps(2), [Step::Publish]);
    assert_eq!(cluster.steps(3), []);
}

#[test]
fn a_second_change_before_the_first_is_forgotten_keeps_both_retired_ones() {
    let first = made(0);
    let authorities = Authorities::of(first.clone())
        .prepared(made(1))
        .promoted(at(2));
    let second = authorities.current.clone();
    let authorities = authorities.prepared(made(3)).promoted(at(4));
    let trusted = ders(&authorities.certificates());
    assert_eq!(trusted.len(), 3);
    for authority in [first, second] {
        assert!(trusted.is_superset(&ders(authority.certificate())));
    }
}

#[test]
fn whoever_asks_gets_a_new_authority_once() {
    let mut cluster = Cluster::new();
    cluster.steps(0);
    cluster.authorities.is_asked = true;
    assert_eq!(cluster.step(1), Some(Step::Prepare));
    cluster.steps(1);
    assert_eq!(cluster.steps(61), [Step::Promote]);
    assert_eq!(cluster.steps(62), []);
}
