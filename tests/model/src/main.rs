//! The model: every order in which things may happen during a hand-over, up to a number of faults, through the product's own plans.

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
use search::explore;

fn scope(order: Order, faults: u8) -> Scope {
    Scope {
        order,
        retries: 1,
        on_failure: OnFailure::Wait,
        has_older: false,
        has_held_leader: std::env::var_os("HELD").is_some(),
        is_quick: std::env::var_os("QUICK").is_some(),
        faults,
        rules: Rules::ALL,
    }
}

fn run(name: &str, scope: Scope) {
    let began = std::time::Instant::now();
    let found = explore(scope);
    println!("{name}: {} states, {:?}", found.states, began.elapsed());
    if let Some((wrong, story)) = found.wrong {
        println!("  {wrong:?}: {}", story.join("\n    > "));
    }
}

#[test]
fn explore_all() {
    let faults = std::env::var_os("FAULTS").map_or(1, |f| f.to_str().unwrap().parse().unwrap());
    if std::env::var_os("RULES").is_none() {
        run("PrepareFirst", scope(Order::PrepareFirst, faults));
        run("FreezeFirst", scope(Order::FreezeFirst, faults));
    } else {
        for rule in Rule::ALL {
            for order in [Order::PrepareFirst, Order::FreezeFirst] {
                let mut scope = scope(order, faults);
                scope.rules = Rules::without(rule);
                run(&format!("without {rule:?} {order:?}"), scope);
            }
        }
    }
}
