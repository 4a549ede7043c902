use super::*;
use crate::sizing::testkit::amounts;

fn container(role: Role, requests: &str, limits: &str) -> ContainerView {
    ContainerView {
        name: "c".into(),
        role,
        requests: amounts(requests),
        limits: amounts(limits),
    }
}

fn wanted(requests: &str, limits: &str) -> Wanted {
    Wanted {
        requests: amounts(requests),
        limits: amounts(limits),
    }
}

#[test]
fn classes_are_those_of_kubernetes() {
    use Qos::{BestEffort, Burstable, Guaranteed};
    use Role::{Init, Main};
    let both = "cpu=1 memory=1Gi";
    for (containers, class) in [
        (vec![(Main, "", "")], BestEffort),
        (vec![(Main, "cpu=0", "")], BestEffort),
        (vec![(Main, "storage=1Gi", "storage=1Gi")], BestEffort),
        (vec![(Main, both, both)], Guaranteed),
        (vec![(Main, both, both), (Main, both, both)], Guaranteed),
        (vec![(Main, both, both), (Main, "", "")], Burstable),
        (vec![(Init, "", ""), (Main, both, both)], Burstable),
        (vec![(Init, both, both), (Main, both, both)], Guaranteed),
        (vec![(Main, "cpu=1", "cpu=1")], Burstable),
        (vec![(Main, both, "cpu=2 memory=1Gi")], Burstable),
        (vec![(Main, "cpu=0 memory=1Gi", both)], Burstable),
        (vec![(Main, both, "")], Burstable),
        (vec![], BestEffort),
    ] {
        let views: Vec<_> = containers
            .iter()
            .map(|(role, requests, limits)| container(*role, requests, limits))
            .collect();
        assert_eq!(Qos::of(&views), class, "{containers:?}");
    }
}

#[test]
fn differences_are_told_apart() {
    let of = |requests: &str, limits: &str, then: Wanted| {
        difference(&[container(Role::Main, requests, limits)], &[then])
    };
    let none = of("cpu=1000m memory=1Gi", "", wanted("cpu=1", ""));
    assert!(none.is_none(), "{none:?}");
    // (has, should have, small, less)
    for (now, then, is_small, is_decrease) in [
        ("cpu=1000m", "cpu=1008m", true, false),
        ("cpu=1000m", "cpu=1010m", false, false),
        ("cpu=1000m", "cpu=992m", true, true),
        ("cpu=1000m", "cpu=990m", false, true),
        ("cpu=1", "cpu=1001m memory=1Gi", false, false),
        (
            "cpu=1 memory=1Gi",
            "cpu=999m memory=1073741825",
            true,
            false,
        ),
        (
            "cpu=1 memory=1Gi",
            "cpu=500m memory=1073741823",
            false,
            true,
        ),
    ] {
        let found = of(now, "", wanted(then, ""));
        assert!(found.is_mutable && !found.is_of_storage, "{now} {then}");
        assert_eq!(
            (found.is_small, found.is_decrease),
            (is_small, is_decrease),
            "{now} {then}"
        );
    }
    let storage = of("storage=1Gi", "", wanted("storage=2Gi", ""));
    assert!(storage.is_of_storage && !storage.is_mutable);
    let limit = of("cpu=1", "cpu=1", wanted("cpu=1", "cpu=2"));
    assert!(limit.is_mutable && !limit.is_decrease && !limit.is_small);
}

#[test]
fn what_moves_between_containers_is_a_change_though_the_sum_stays() {
    let containers = ["cpu=500m", "cpu=500m"].map(|now| container(Role::Main, now, ""));
    let found = difference(
        &containers,
        &[wanted("cpu=600m", ""), wanted("cpu=400m", "")],
    );
    assert!(found.is_mutable && !found.is_small);
}

#[test]
fn every_whole_percent_of_a_node_is_worth_a_change() {
    for allocatable in [1_000_i128, 1930, 3920, 63_770, 16_777_216_123] {
        for percent in 1..100_i128 {
            let part =
                |percent: i128| Quantity::from_nanos(allocatable * percent / 100 * 1_000_000);
            let amount = |percent| Amounts {
                cpu: Some(part(percent)),
                ..Amounts::default()
            };
            for (from, to) in [(percent, percent + 1), (percent + 1, percent)] {
                let mut now = container(Role::Main, "", "");
                now.requests = amount(from);
                let then = Wanted {
                    requests: amount(to),
                    ..Wanted::default()
                };
                let found = difference(&[now], &[then]);
                assert!(!found.is_small, "{allocatable}: {from} to {to}");
            }
        }
    }
}

#[test]
fn init_containers_that_ended_are_not_compared() {
    let containers = [container(Role::Init, "cpu=1", "")];
    let found = difference(&containers, &[wanted("cpu=2 storage=1Gi", "")]);
    assert!(found.is_none());
}

#[test]
fn a_patch_names_only_what_changes() {
    let containers = [
        container(Role::Init, "cpu=1", "cpu=1"),
        container(Role::Sidecar, "cpu=1", "cpu=1"),
        container(Role::Main, "cpu=1 memory=1Gi storage=1Gi", "cpu=2"),
        container(Role::Main, "cpu=1", ""),
    ];
    let then = [
        wanted("cpu=2", "cpu=2"),
        wanted("cpu=2", "cpu=2"),
        wanted("cpu=1 memory=1536Mi storage=2Gi", "cpu=1500m memory=1536Mi"),
        wanted("cpu=1", ""),
    ];
    let resources = json!({ "requests": { "memory": "1536Mi" }, "limits": { "cpu": "1500m", "memory": "1536Mi" } });
    assert_eq!(
        patch(&containers, &then),
        json!({ "spec": {
            "initContainers": [{ "name": "c", "resources": { "requests": { "cpu": "2" }, "limits": { "cpu": "2" } } }],
            "containers": [{ "name": "c", "resources": resources }],
        } })
    );
    let after = resized(&containers, &then);
    assert_eq!(after[0], containers[0]);
    assert_eq!(
        after[2].requests,
        amounts("cpu=1 memory=1536Mi storage=1Gi")
    );
    assert_eq!(after[2].limits, amounts("cpu=1500m memory=1536Mi"));
}

#[test]
fn what_can_be_resized_in_place_is_what_the_api_server_allows() {
    use Qos::{BestEffort, Burstable, Guaranteed};
    let both = "cpu=1 memory=1Gi";
    // (what it has, requests and limits; what it should have)
    for (now, then, expected) in [
        (
            (both, both),
            ("cpu=2 memory=1Gi", "cpu=2 memory=1Gi"),
            Way::Whole,
        ),
        (
            (both, both),
            ("cpu=500m", "cpu=500m memory=2Gi"),
            Way::Class(Guaranteed, Burstable),
        ),
        (("", ""), ("cpu=1", ""), Way::Class(BestEffort, Burstable)),
        (("cpu=1", ""), ("cpu=2 memory=1Gi", ""), Way::Whole),
        (
            (both, both),
            ("cpu=2 storage=1Gi", "cpu=2 storage=1Gi"),
            Way::Part,
        ),
        ((both, both), ("cpu=1 storage=1Gi", ""), Way::Storage),
    ] {
        let now = [container(Role::Main, now.0, now.1)];
        let then = [wanted(then.0, then.1)];
        let found = difference(&now, &then);
        assert_eq!(way(&now, &then, &found), expected, "{now:?} to {then:?}");
    }
}
