//! The model: every order in which things may happen during a hand-over, up to a number of faults, through the product's own plans.
//!
//! Checked in every state: never two, never one that was rewound, mixed, or started fresh beside its state. Checked of every state:
//! that one can be reached in which all is done, and something runs or is kept; and that nothing stays frozen where its agent never
//! comes back. Then each rule is switched off by itself, and must be missed.
//!
//! `HOLDFAST_MODEL_FAULTS=3` goes further: minutes, and gigabytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test says that it failed by panicking"
)]

mod agents;
mod intern;
mod leader;
mod model;
mod search;
mod surroundings;
mod world;

use holdfast::agent::api::Order::{self, FreezeFirst, PrepareFirst};
use holdfast::hold::rules::{Rule, Rules};
use holdfast::migration::api::OnFailure;
use model::Scope;
use search::{Found, explore};
use std::fmt;
use std::sync::Mutex;

/// Reports are written at once, and no leader is held up: the quickest.
const fn quick(order: Order, faults: u8) -> Scope {
    Scope {
        order,
        retries: 1,
        is_bare: false,
        on_failure: OnFailure::Wait,
        has_older: false,
        has_held_leader: false,
        is_quick: true,
        faults,
        rules: Rules::ALL,
    }
}

/// Reports come late, a guard is slow, and a leader may be held up while another one goes on.
const fn slow(order: Order, faults: u8) -> Scope {
    Scope {
        has_held_leader: true,
        is_quick: false,
        ..quick(order, faults)
    }
}

/// A leader may be held up while another one goes on.
const fn held(order: Order, faults: u8) -> Scope {
    Scope {
        has_held_leader: true,
        ..quick(order, faults)
    }
}

/// When the state cannot be restored again, it starts from an older one, or fresh.
const fn lenient(order: Order, faults: u8, on_failure: OnFailure) -> Scope {
    Scope {
        retries: 0,
        is_bare: matches!(order, FreezeFirst),
        on_failure,
        has_older: true,
        ..quick(order, faults)
    }
}

/// What is explored with all rules.
fn scopes(faults: u8) -> Vec<Scope> {
    let mut scopes = vec![
        slow(PrepareFirst, faults.saturating_sub(1)),
        slow(FreezeFirst, faults.saturating_sub(1)),
        lenient(PrepareFirst, 2, OnFailure::Fresh),
        lenient(PrepareFirst, 2, OnFailure::Older),
        lenient(FreezeFirst, 2, OnFailure::Fresh),
        lenient(FreezeFirst, 2, OnFailure::Older),
        quick(PrepareFirst, faults),
        quick(FreezeFirst, faults),
    ];
    if faults > 2 {
        scopes.extend([held(PrepareFirst, 2), held(FreezeFirst, 2)]);
    }
    scopes
}

/// The smallest scope in which a rule is missed.
fn scene(rule: Rule) -> Scope {
    match rule {
        Rule::WithdrawnOrReleased | Rule::DecisionsAreCompared => slow(PrepareFirst, 1),
        Rule::ProofNamesTheTarget | Rule::GoneBeforeProof => quick(PrepareFirst, 2),
        Rule::PreparedNeverFresh => lenient(PrepareFirst, 1, OnFailure::Fresh),
        Rule::VerifiedBeforeKill | Rule::KilledBeforeSuccessor => quick(FreezeFirst, 1),
        Rule::BegunIsWritten => quick(FreezeFirst, 2),
        _ => quick(PrepareFirst, 1),
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { order, faults, .. } = self;
        let pace = match (self.is_quick, self.has_held_leader) {
            (true, false) => "quick",
            (true, true) => "held",
            (false, _) => "slow",
        };
        write!(
            f,
            "{order:?}, {faults} faults, {pace}, {:?}",
            self.on_failure
        )
    }
}

/// What is asked of one thread at a time.
enum Job {
    Whole(Scope),
    Without(Rule),
}

/// What was found in all.
#[derive(Default)]
struct Totals {
    states: usize,
    wrong: usize,
    caught: usize,
}

impl Totals {
    fn add(&mut self, job: &Job, found: &Found) {
        match (job, &found.wrong) {
            (Job::Whole(scope), None) => println!("{scope}: {} states", found.states),
            (Job::Whole(scope), Some((wrong, story))) => {
                println!("{scope}: {wrong:?}\n  {}", story.join("\n  "));
                self.wrong += 1;
            }
            (Job::Without(rule), None) => println!("without {rule:?}: nobody misses it"),
            (Job::Without(rule), Some((wrong, story))) => {
                let story = story.iter().filter(|step| !step.contains('\n'));
                let story: Vec<_> = story.map(String::as_str).collect();
                println!("without {rule:?}: {wrong:?}: {}", story.join(" > "));
                self.caught += 1;
            }
        }
        if matches!(job, Job::Whole(_)) {
            self.states += found.states;
        }
    }
}

fn work(jobs: &Mutex<Vec<Job>>, totals: &Mutex<Totals>) {
    loop {
        let Some(job) = jobs.lock().unwrap().pop() else {
            return;
        };
        let scope = match job {
            Job::Whole(scope) => scope,
            Job::Without(rule) => Scope {
                rules: Rules::without(rule),
                ..scene(rule)
            },
        };
        let found = explore(scope);
        totals.lock().unwrap().add(&job, &found);
    }
}

#[test]
fn never_two_never_none_never_stuck_and_no_rule_is_idle() {
    let wanted = std::env::var_os("HOLDFAST_MODEL_FAULTS");
    let faults = wanted.map_or(2, |faults| faults.to_str().unwrap().parse().unwrap());
    let rules = Rule::ALL.map(Job::Without);
    // The largest last, so that they are taken first.
    let jobs = Mutex::new(
        rules
            .into_iter()
            .chain(scopes(faults).into_iter().map(Job::Whole))
            .collect(),
    );
    let totals = Mutex::default();
    std::thread::scope(|threads| {
        for _each in 0..2 {
            threads.spawn(|| work(&jobs, &totals));
        }
    });
    let Totals {
        states,
        wrong,
        caught,
    } = totals.into_inner().unwrap();
    let all = Rule::ALL.len();
    println!(
        "RESULT model_states={states} faults={faults} violations={wrong} rules_caught={caught}/{all}"
    );
    assert_eq!((wrong, caught), (0, all));
}
