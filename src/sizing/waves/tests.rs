use super::*;
use crate::sizing::observed::Tried;
use crate::sizing::observed::scene::{NOW, at, crew, pod, template};
use crate::sizing::plan::Plan;
use serde_json::{Value, json};

const SHARE: &str = "cpu=1 memory=10Gi";
const HALF: &str = "cpu=500m memory=5Gi";
const TWICE: &str = "cpu=2 memory=20Gi";

fn spec(wave: Value) -> Value {
    json!({ "cpuPercentage": 10, "memoryPercentage": 10, "wave": wave, "repair": "Recreate", "onChange": "Recreate" })
}

/// The pods that something is done for, by their numbers.
fn chosen(plan: &Plan, crew: &Crew) -> Vec<String> {
    let steps = plan.waves[0].steps.iter();
    steps
        .map(|step| crew.pods[step.pod].name.trim_start_matches("d-").to_owned())
        .collect()
}

fn planned(spec: Value, own: &str, pods: Vec<Seen>, max_unavailable: &str) -> (Plan, Vec<String>) {
    let crew = crew("d", own).pods(pods, max_unavailable);
    let seen = template(spec).crew(crew.clone());
    let plan = seen.plan();
    let chosen = chosen(&plan, &crew);
    (plan, chosen)
}

#[test]
fn so_many_at_once_decreases_first_then_by_node() {
    let pods = vec![
        pod(3, HALF),
        pod(5, TWICE),
        pod(1, HALF),
        pod(2, TWICE),
        pod(4, SHARE),
    ];
    let (plan, chosen) = planned(spec(json!(3)), HALF, pods, "1");
    assert_eq!(chosen, ["2", "5", "1"]);
    let waits = plan.standings[0][0].why.as_ref().unwrap();
    assert_eq!(waits.reason, reasons::WAITING);
}

#[test]
fn a_pod_that_has_just_come_without_its_share_gets_it_whatever_the_wave() {
    let new = |number| pod(number, HALF).created(NOW - 299);
    let coming = pod(8, SHARE).sized().unready().created(NOW - 60);
    let deferred = new(9).resize(Resize::Deferred("no room".into()));
    // Three that have just come, one of them with a resize that is open; one that comes with its share; two that have run for long.
    let pods = vec![new(4), new(5), deferred, coming, pod(1, HALF), pod(2, HALF)];
    let (_, chosen) = planned(spec(json!(2)), HALF, pods, "1");
    assert_eq!(chosen, ["1", "4", "5", "9"]);
    let pods = vec![
        pod(4, HALF).created(NOW - 300),
        pod(5, TWICE).sized().created(NOW - 299),
        pod(1, TWICE).sized().created(NOW - 299),
    ];
    let (_, chosen) = planned(spec(json!(1)), HALF, pods, "1");
    assert_eq!(chosen, ["1"], "a change comes by waves");
}

#[test]
fn what_is_in_the_middle_takes_room() {
    let still = || Resize::Deferred("no room".into());
    let since = |second| {
        move |view: &mut crate::sizing::view::PodView| view.resize_since = Some(at(second))
    };
    // (a pod beside two that want a resize, how many of those go with a wave of two)
    for (beside, goes) in [
        (pod(9, SHARE).sized(), 2),
        (pod(9, SHARE).sized().unready(), 2),
        (pod(9, SHARE).sized().unready().created(NOW - 60), 1),
        (pod(9, HALF).with(|view| view.is_leaving = true), 1),
        (pod(9, HALF).tried(Tried::Deleted), 1),
        (pod(9, SHARE).resize(Resize::InProgress), 1),
        (pod(9, SHARE).unready().resize(Resize::InProgress), 2),
        (pod(9, SHARE).resize(Resize::Failed("why".into())), 1),
        (pod(9, SHARE).resize(Resize::Infeasible("why".into())), 2),
        (pod(9, SHARE).resize(still()), 1),
        (pod(9, SHARE).resize(still()).with(since(NOW - 179)), 1),
        (pod(9, SHARE).resize(still()).with(since(NOW - 180)), 2),
        (pod(9, SHARE).with(|view| view.is_over = true), 2),
    ] {
        let told = format!("{beside:?}");
        let pods = vec![beside, pod(1, HALF), pod(2, HALF)];
        let (plan, _) = planned(
            json!({ "cpuPercentage": 10, "memoryPercentage": 10, "wave": 2 }),
            HALF,
            pods,
            "1",
        );
        assert_eq!(plan.waves[0].steps.len(), goes, "{told}");
    }
}

#[test]
fn one_that_waits_for_room_may_be_resized_to_something_else_at_once() {
    let deferred = pod(1, TWICE)
        .sized()
        .resize(Resize::Deferred("no room".into()));
    let (plan, chosen) = planned(spec(json!(1)), HALF, vec![deferred, pod(2, HALF)], "1");
    assert_eq!(chosen, ["1"]);
    assert_eq!(
        plan.standings[0][1].why.as_ref().unwrap().reason,
        reasons::WAITING
    );
}

#[test]
fn patience_ends_at_a_time_that_is_told() {
    let deferred = pod(1, SHARE)
        .sized()
        .resize(Resize::Deferred("no room".into()))
        .with(|view| view.resize_since = Some(at(NOW - 100)));
    let (plan, _) = planned(spec(json!(1)), HALF, vec![deferred, pod(2, HALF)], "1");
    assert_eq!(plan.again(), Some(at(NOW + 80)));
}

/// Pods that only a new one can replace.
fn hopeless(numbers: std::ops::Range<usize>) -> Vec<Seen> {
    numbers
        .map(|number| pod(number, "").created(NOW - 3600))
        .collect()
}

#[test]
fn no_more_are_deleted_than_may_be_unavailable() {
    let with = |extra: Vec<Seen>| {
        [
            vec![pod(90, SHARE).sized().created(NOW - 10)],
            hopeless(1..6),
            extra,
        ]
        .concat()
    };
    // (the pods, maxUnavailable, who is deleted)
    for (pods, max, gone) in [
        (with(vec![]), "1", vec!["1"]),
        (with(vec![]), "2", vec!["1", "2"]),
        (with(vec![]), "25%", vec!["1", "2"]),
        (with(vec![]), "0", vec!["1"]),
        (with(vec![pod(80, SHARE).sized().unready()]), "2", vec!["1"]),
        (
            with(vec![
                pod(80, SHARE).sized().with(|view| view.is_leaving = true),
            ]),
            "1",
            vec![],
        ),
        (
            with(vec![pod(80, SHARE).tried(Tried::Deleted)]),
            "1",
            vec![],
        ),
        // One that is not ready is made anew first: nobody misses it.
        (with(vec![pod(80, "").unready()]), "1", vec!["80"]),
        (
            with(vec![pod(80, "").unready(), pod(81, "").unready()]),
            "1",
            vec!["80"],
        ),
        (with(vec![pod(80, "").unready()]), "2", vec!["80", "1"]),
    ] {
        let told = format!("{max} {}", pods.len());
        let (plan, chosen) = planned(spec(json!("100%")), "", pods, max);
        assert_eq!(chosen, gone, "{told}: {plan:?}");
        let waits = plan.standings[0]
            .iter()
            .filter(|one| one.needs_recreate && one.course == Course::Nothing);
        for standing in waits {
            let why = standing.why.as_ref().unwrap();
            assert_eq!(why.reason, reasons::NOT_RECREATED);
            assert!(why.message.contains("QoS"), "{}", why.message);
        }
    }
}

#[test]
fn missing_pods_and_what_the_daemonset_says_count_as_unavailable() {
    for change in [
        (|view: &mut crate::sizing::view::DaemonSetView| view.rollout.desired = 4) as fn(&mut _),
        |view| view.rollout.unavailable = 1,
    ] {
        let pods = [vec![pod(90, SHARE).sized()], hopeless(1..3)].concat();
        let crew = crew("d", "").pods(pods, "1").with(change);
        let plan = template(spec(json!("100%"))).crew(crew).plan();
        assert_eq!(plan.waves[0].steps, []);
    }
}

#[test]
fn pods_that_are_replaced_by_surging_are_left_to_their_owner() {
    let pods = hopeless(1..4);
    let crew = crew("d", "")
        .pods(pods, "0")
        .with(|view| view.rollout.max_surge = Some("10%".into()));
    let plan = template(spec(json!("100%"))).crew(crew).plan();
    assert_eq!(plan.waves[0].steps, []);
    let why = plan.standings[0][0].why.as_ref().unwrap();
    assert!(
        why.message.contains("kubectl rollout restart"),
        "{}",
        why.message
    );
}

#[test]
fn while_others_roll_out_nothing_is_deleted() {
    let older = pod(7, "").with(|view| view.template_generation = Some(0));
    let (plan, _) = planned(
        spec(json!("100%")),
        "",
        [hopeless(1..4), vec![older]].concat(),
        "1",
    );
    assert_eq!(plan.waves[0].steps, []);
}

#[test]
fn after_a_pod_that_came_out_badly_nothing_is_deleted_for_a_while() {
    let newest = |second| [hopeless(1..4), vec![pod(9, "").created(second)]].concat();
    let run = |second, made| {
        let mut seen = template(spec(json!("100%"))).crew(crew("d", "").pods(newest(second), "3"));
        seen.created = at(made);
        seen.plan()
    };
    let held = run(NOW - 299, 0);
    assert_eq!(held.waves[0].steps, []);
    assert_eq!(held.again(), Some(at(NOW + 1)));
    assert!(
        held.standings[0][0]
            .why
            .as_ref()
            .unwrap()
            .message
            .contains("d-9")
    );
    // One is tried: the webhook may be back.
    assert_eq!(run(NOW - 300, 0).waves[0].steps.len(), 1);
    // All are older than the template: nothing is known of pods that come now, but one is tried first.
    assert_eq!(run(NOW - 299, NOW - 10).waves[0].steps.len(), 1);
    // One came out well: the rest follows.
    let well = [hopeless(1..4), vec![pod(9, SHARE).sized().created(NOW - 5)]].concat();
    let (plan, _) = planned(spec(json!("100%")), "", well, "3");
    assert_eq!(plan.waves[0].steps.len(), 3);
}

#[test]
fn a_pod_that_came_with_another_share_is_doubted_for_a_minute() {
    let stale = |second| pod(9, "").sized().created(second);
    for (second, steps) in [(NOW - 59, 0), (NOW - 60, 1)] {
        let pods = [hopeless(1..4), vec![stale(second)]].concat();
        let (plan, _) = planned(spec(json!("100%")), "", pods, "3");
        assert_eq!(plan.waves[0].steps.len(), steps);
    }
}
