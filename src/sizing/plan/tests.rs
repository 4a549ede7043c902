use super::*;
use crate::sizing::api::FlexDaemonsetTemplateSpec;
use crate::sizing::observed::scene::{NOW, at, crew, pod, template as scene};
use crate::sizing::observed::{Crew, Seen};
use crate::sizing::standing::reasons;
use crate::sizing::summary::{OVERCOMMITTED, SIZED};
use crate::sizing::view::Resize;
use serde_json::{Value, json};

const SHARE: &str = "cpu=1 memory=10Gi";
const HALF: &str = "cpu=500m memory=5Gi";

fn tenth() -> Value {
    json!({ "cpuPercentage": 10, "memoryPercentage": 10, "wave": 1 })
}

fn object() -> FlexDaemonsetTemplate {
    let mut object = FlexDaemonsetTemplate::new("t", FlexDaemonsetTemplateSpec::default());
    object.metadata.generation = Some(3);
    object
}

fn said(seen: &Observed, object: &FlexDaemonsetTemplate) -> Report {
    report(object, seen, &seen.plan(), &Circumstances::default())
}

/// The object after a pass, and what was told in it.
fn after(seen: &Observed, mut object: FlexDaemonsetTemplate) -> (FlexDaemonsetTemplate, Report) {
    let report = said(seen, &object);
    if let Some(status) = &report.status {
        object.status = Some(status.clone());
    }
    (object, report)
}

fn with(pods: Vec<Seen>) -> Observed {
    scene(tenth()).crew(crew("d", HALF).pods(pods, "1"))
}

fn condition(object: &FlexDaemonsetTemplate, kind: &str) -> (String, String) {
    let conditions = &object.status.as_ref().unwrap().conditions;
    let found = conditions.iter().find(|one| one.type_ == kind).unwrap();
    (found.status.clone(), found.reason.clone())
}

fn told(report: &Report) -> Vec<&'static str> {
    report
        .crew_notices
        .iter()
        .map(|(_, notice)| notice.reason)
        .collect()
}

#[test]
fn a_usable_template_is_ready_and_no_news() {
    let (object, report) = after(&scene(tenth()), object());
    assert_eq!(condition(&object, READY), ("True".into(), USABLE.into()));
    assert_eq!(
        condition(&object, SIZED),
        ("True".into(), "AllSized".into())
    );
    assert_eq!(condition(&object, OVERCOMMITTED).0, "False");
    assert_eq!((report.notices.len(), report.crew_notices.len()), (0, 0));
}

#[test]
fn what_cannot_be_used_is_named_and_its_cure_is_told() {
    let unusable = scene(json!({ "minMemory": "9999999999999999999999999E" }));
    let (object, report) = after(&unusable, object());
    assert_eq!(condition(&object, READY), ("False".into(), UNUSABLE.into()));
    let [notice] = &report.notices[..] else {
        panic!("{report:?}")
    };
    assert!(
        notice.is_warning && notice.note.contains("minMemory") && notice.note.contains("too large")
    );
    let (_, report) = after(&scene(tenth()), object);
    assert!(!report.notices[0].is_warning && report.notices[0].reason == USABLE);
}

#[test]
fn f10_nothing_is_written_twice() {
    let mut seen = with(vec![pod(1, SHARE), pod(2, "").sized()]);
    let (object, _) = after(&seen, object());
    seen.now = at(NOW + 100);
    let again = said(&seen, &object);
    assert_eq!(told(&again), [""; 0]);
    assert_eq!((again.status, again.notices), (None, vec![]));
}

#[test]
fn pods_are_counted_by_how_they_stand() {
    let seen = with(vec![
        pod(1, SHARE).sized(),
        pod(2, HALF),
        pod(3, HALF).sized(),
        pod(4, "").sized(),
        pod(5, SHARE).resize(Resize::Infeasible("why".into())),
        pod(6, HALF).with(|view| view.is_leaving = true),
        pod(7, HALF).with(|view| view.is_over = true),
    ]);
    let (object, _) = after(&seen, object());
    let status = object.status.as_ref().unwrap();
    assert_eq!(status.daemon_sets, 1);
    // Pod 6 goes, and takes the room of the wave.
    let counts = PodCounts {
        total: 5,
        sized: 1,
        unsized_pods: 1,
        stale: 3,
        resizing: 0,
        needs_recreate: 2,
    };
    assert_eq!(status.pods, counts);
    let words: Vec<_> = status
        .reasons
        .iter()
        .map(|one| (one.reason.as_str(), one.count))
        .collect();
    assert_eq!(
        words,
        [
            (reasons::WAITING, 2),
            (reasons::INFEASIBLE, 1),
            (reasons::QOS_CLASS, 1)
        ]
    );
    assert_eq!(status.reasons[1].example, "apps/d-5");
    assert_eq!(
        condition(&object, SIZED),
        ("False".into(), "SomePodsUnsized".into())
    );
}

#[test]
fn what_is_done_is_told_on_the_daemonset() {
    let slipped = with(vec![pod(1, HALF), pod(2, HALF)]);
    let (object, report) = after(&slipped, object());
    assert_eq!(told(&report), ["Unsized", "Resizing"]);
    let [(0, unsized_pods), (0, resizing)] = &report.crew_notices[..] else {
        panic!("{report:?}")
    };
    assert!(
        unsized_pods.is_warning && unsized_pods.note.starts_with("2 of 2 pods"),
        "{unsized_pods:?}"
    );
    assert!(
        !resizing.is_warning && resizing.note.starts_with("1 of 2 pods"),
        "{resizing:?}"
    );
    // The second wave is no new transition.
    let (object, report) = after(&with(vec![pod(1, SHARE), pod(2, HALF)]), object);
    assert_eq!(told(&report), ["Resizing"]);
    let (_, report) = after(&with(vec![pod(1, SHARE), pod(2, SHARE)]), object);
    assert_eq!(told(&report), [""; 0]);
}

#[test]
fn only_the_daemonset_that_it_is_about_hears_of_it() {
    let named = |name: &str, pods| {
        let crew: Crew = crew(name, HALF).pods(pods, "1");
        crew
    };
    let never = pod(2, SHARE)
        .sized()
        .resize(Resize::Infeasible("static CPUs".into()));
    let seen = scene(tenth())
        .crew(named("a", vec![pod(1, SHARE)]))
        .crew(named("b", vec![never]));
    let (object, report) = after(&seen, object());
    let notices: Vec<_> = report
        .crew_notices
        .iter()
        .map(|(at, one)| (*at, one.reason))
        .collect();
    assert_eq!(notices, [(1, "NeedsRecreate"), (1, "Infeasible")]);
    assert!(report.crew_notices[1].1.note.contains("static CPUs"));
    assert_eq!(told(&said(&seen, &object)), [""; 0]);
}

#[test]
fn a_step_that_is_refused_is_said_and_is_not_resizing() {
    let seen = with(vec![pod(1, HALF)]);
    let mut plan = seen.plan();
    let refusal = Refusal {
        reason: reasons::REFUSED,
        message: "memory limits cannot be decreased".into(),
        is_final: true,
    };
    plan.refuse((0, 0), &refusal);
    let report = report(&object(), &seen, &plan, &Circumstances::default());
    let status = report.status.clone().unwrap();
    assert_eq!((status.pods.resizing, status.pods.needs_recreate), (0, 1));
    assert_eq!(
        status.reasons[0].message,
        "memory limits cannot be decreased"
    );
    assert!(!told(&report).contains(&"Resizing"), "{report:?}");
}

#[test]
fn missing_pods_are_named_with_their_quota() {
    let seen = with(vec![pod(1, SHARE)]);
    let missing = Shortfall {
        crew: 0,
        pods: 3,
        node: "n9".into(),
        message: "ResourceQuota small".into(),
    };
    let circumstances = Circumstances {
        shortfalls: vec![missing],
        overcommitment: Some("too much".into()),
    };
    let report = report(&object(), &seen, &seen.plan(), &circumstances);
    let status = report.status.clone().unwrap();
    let reason = &status.reasons[0];
    assert_eq!(
        (
            reason.reason.as_str(),
            reason.count,
            reason.example.as_str()
        ),
        (reasons::QUOTA_EXCEEDED, 3, "n9")
    );
    assert_eq!(
        status.pods.total, 1,
        "a pod that is not there is not counted"
    );
    assert_eq!(told(&report), [reasons::QUOTA_EXCEEDED]);
    assert!(report.notices[0].is_warning && report.notices[0].reason == "SharesExceedNode");
    let sized = status
        .conditions
        .iter()
        .find(|one| one.type_ == SIZED)
        .unwrap();
    assert_eq!(
        (sized.status.as_str(), sized.reason.as_str()),
        ("False", "QuotaExceeded")
    );
}

#[test]
fn at_most_twenty_reasons_are_listed_and_their_order_stays() {
    let seen = with(
        (1..40)
            .map(|number| pod(number, if number % 2 == 0 { "" } else { HALF }))
            .collect(),
    );
    let (object, _) = after(&seen, object());
    let reasons = object.status.unwrap().reasons;
    assert!(reasons.len() <= 20);
    let counts: Vec<_> = reasons.iter().map(|one| one.count).collect();
    assert!(counts.is_sorted_by(|one, two| one >= two), "{counts:?}");
}
