//! The model: every order in which things may happen during a hand-over, up to a number of faults, through the product's own plans.
//!
//! Checked in every state: never two, never one that was rewound, mixed, or started fresh beside its state. Checked of every state: that
//! one is reached in which all is done, and something runs or is kept; and that nothing stays frozen where its agent never comes back.
//! Then each rule is switched off by itself, and must be missed.

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

use holdfast::agent::api::Order;
use holdfast::hold::rules::{Rule, Rules};
use holdfast::migration::api::OnFailure;
use model::Scope;
use search::{Found, explore};

const ORDERS: [Order; 2] = [Order::PrepareFirst, Order::FreezeFirst];

/// Reports are written at once, and no leader is held up: the quickest.
fn quick(order: Order, faults: u8) -> Scope {
    Scope {
        order,
        retries: 1,
        on_failure: OnFailure::Wait,
        has_older: false,
        has_held_leader: false,
        is_quick: true,
        faults,
        rules: Rules::ALL,
    }
}

/// Reports come late, a guard is slow, and a leader may be held up while another one goes on.
fn slow(order: Order, faults: u8) -> Scope {
    Scope {
        has_held_leader: true,
        is_quick: false,
        ..quick(order, faults)
    }
}

/// When the state cannot be restored again, it starts from an older one, or fresh.
fn lenient(order: Order, faults: u8, on_failure: OnFailure) -> Scope {
    Scope {
        retries: 0,
        on_failure,
        has_older: true,
        ..quick(order, faults)
    }
}

fn told(scope: &Scope) -> String {
    format!(
        "{:?}, {} faults, {}, {:?}",
        scope.order,
        scope.faults,
        if scope.is_quick { "quick" } else { "slow" },
        scope.on_failure
    )
}

/// Explores, and prints the shortest story if something is wrong.
fn look(scope: Scope) -> Found {
    let found = explore(scope);
    println!("{}: {} states", told(&scope), found.states);
    if let Some((wrong, story)) = &found.wrong {
        println!("  {wrong:?}:\n    > {}", story.join("\n    > "));
    }
    found
}

#[test]
fn explore_all() {
    let number = |name: &str| -> Option<u8> {
        std::env::var_os(name).map(|f| f.to_str().unwrap().parse().unwrap())
    };
    for order in ORDERS {
        if let Some(faults) = number("QUICK") {
            look(quick(order, faults));
        }
        if let Some(faults) = number("SLOW") {
            look(slow(order, faults));
        }
        if let Some(faults) = number("HELD") {
            look(Scope {
                is_quick: true,
                ..slow(order, faults)
            });
        }
        if let Some(faults) = number("LENIENT") {
            look(lenient(order, faults, OnFailure::Fresh));
            look(lenient(order, faults, OnFailure::Older));
        }
    }
    if let Some(faults) = number("RULES") {
        for rule in Rule::ALL {
            let rules = Rules::without(rule);
            let scopes = (1..=faults).flat_map(|faults| {
                ORDERS.into_iter().flat_map(move |order| {
                    [
                        quick(order, faults),
                        lenient(order, faults, OnFailure::Fresh),
                    ]
                })
            });
            let scopes = scopes.chain(ORDERS.map(|order| slow(order, 1)));
            let mut caught = None;
            for scope in scopes {
                let found = explore(Scope { rules, ..scope });
                if let Some((wrong, story)) = found.wrong {
                    caught = Some((scope, found.states, wrong, story));
                    break;
                }
            }
            match caught {
                None => println!("without {rule:?}: NOT CAUGHT"),
                Some((scope, states, wrong, story)) => println!(
                    "without {rule:?}: {wrong:?}, {}, {states} states, {} steps",
                    told(&scope),
                    story.len()
                ),
            }
        }
    }
}
