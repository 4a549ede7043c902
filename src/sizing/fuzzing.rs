//! What holds for the review of a pod whatever the bytes: it panics where it does not. The fuzz target `admission` calls it, and a test
//! with every file of its corpus. The cluster is small and fixed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what does not hold is said by panicking"
)]

mod typed;

use crate::kit::json::Shapes;
use crate::sizing::judge::{Judged, judge};
use crate::sizing::pod::Pod;
use crate::sizing::testkit::{Cluster, amounts, container, patched};
use crate::sizing::view::{Bounds, LimitRangeView, Role};
use crate::webhook::review::{Request, read, read_quickly};
use serde_json::{Value, json};
use std::cell::OnceCell;

thread_local! {
    static CLUSTER: OnceCell<Cluster> = const { OnceCell::new() };
}

/// Answers a review and looks at the answer; how it was judged.
///
/// # Panics
/// Where the answer is not one that an API server takes, the patch does not apply or is not the last one, or the pod was read otherwise
/// than Kubernetes' published types read it, or quickly otherwise than slowly.
#[must_use]
pub fn admission(body: &[u8]) -> &'static str {
    CLUSTER.with(|cluster| review(body, cluster.get_or_init(cluster_of_all_kinds)))
}

fn review(body: &[u8], cluster: &Cluster) -> &'static str {
    let read = read::<Pod>(body);
    let shapes = Shapes::default();
    // The second time it is known by its shape.
    for _ in 0..2 {
        let quickly = format!("{:?}", read_quickly::<Pod>(body, &shapes));
        assert_eq!(format!("{read:?}"), quickly);
    }
    let Ok(request) = read else {
        return "malformed";
    };
    let Some(pod) = &request.object else {
        return "malformed";
    };
    typed::agrees(body, pod);
    let judged = judged(&request, pod, cluster);
    let answer: Value = serde_json::from_slice(&judged.answer.write(&request.uid)).unwrap();
    assert_eq!(answer["response"]["uid"], *request.uid);
    assert_eq!(
        answer["response"]["allowed"], true,
        "no fault of ours denies a pod"
    );
    assert_eq!(
        answer["response"]["patch"].is_string(),
        judged.answer.patch.is_some()
    );
    if judged.answer.patch.is_some() {
        once(body, &judged, cluster);
    }
    judged.verdict
}

fn judged(request: &Request<Pod>, pod: &Pod, cluster: &Cluster) -> Judged {
    judge(pod, &request.namespace, cluster).unwrap_or_else(|missing| panic!("{missing:?}"))
}

/// The patch applies to what was sent, and the patched pod needs none.
fn once(body: &[u8], judged: &Judged, cluster: &Cluster) {
    // What is not read may hold what no reader of whole documents takes: nesting without end, half a letter.
    let Ok(mut sent) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    sent["request"]["object"] = patched(&sent["request"]["object"], &judged.answer);
    let again = serde_json::to_vec(&sent).unwrap();
    let request = read::<Pod>(&again).unwrap();
    let second = self::judged(&request, request.object.as_ref().unwrap(), cluster);
    assert_eq!((second.verdict, second.answer.patch), ("already", None));
}

/// Nodes of two sizes and one that has almost nothing; a template for each kind of rule; DaemonSets that name them, none, and one that
/// is not there.
fn cluster_of_all_kinds() -> Cluster {
    let rules = json!({
        "cpuPercentage": 33, "memoryPercentage": 7, "storagePercentage": 1, "maxMemory": "3Gi", "minStorage": "1Gi",
        "limits": { "cpu": "None", "memory": "150%" },
        "containers": [{ "name": "logs", "weight": 3 }, { "name": "mesh", "fixed": { "cpu": "70m" } }, { "name": "own", "exclude": true }],
        "nodeOverrides": [{ "nodeSelector": { "matchLabels": { "size": "small" } }, "cpuPercentage": 50 }],
    });
    let containers = || {
        vec![
            container("prepare", Role::Init, "cpu=2"),
            container("mesh", Role::Sidecar, "cpu=100m memory=64Mi"),
            container("agent", Role::Main, "cpu=200m memory=128Mi"),
            container("logs", Role::Main, "cpu=100m memory=64Mi"),
        ]
    };
    let bounds = LimitRangeView {
        name: "bounds".into(),
        container: Bounds {
            max: amounts("memory=2Gi"),
            ..Bounds::default()
        },
        pod: Bounds {
            max: amounts("storage=50Gi"),
            ..Bounds::default()
        },
    };
    let default = json!({ "cpuPercentage": 10, "memoryPercentage": 15, "storagePercentage": 5, "minCPU": "100m", "minMemory": "128Mi" });
    let spare =
        json!({ "cpuPercentage": 90, "base": "AllocatableMinusDaemonSets", "overcommit": "Scale" });
    let bad = json!({ "cpuPercentage": 10, "minCPU": "2", "maxCPU": "1" });
    Cluster::default()
        .node("n4", "cpu=3920m memory=16777216000 storage=100Gi")
        .node("n64", "cpu=64 memory=256Gi")
        .node("n0", "cpu=1m memory=0")
        .template("default", default)
        .template("rules", rules)
        .template("spare", spare)
        .template("bad", bad)
        .daemonset("agent", Some("default"), containers())
        .daemonset("ruled", Some("rules"), containers())
        .daemonset("spare", Some("spare"), containers())
        .daemonset("plain", None, containers())
        .daemonset("spoilt", Some("bad"), Vec::new())
        .daemonset("lost", Some("nowhere"), Vec::new())
        .limit_range(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::review::is_usual;
    use proptest::prelude::*;
    use proptest::sample::{Index as Place, select};
    use std::fs;

    const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/admission");

    fn corpus(name: &str) -> Vec<u8> {
        fs::read(format!("{CORPUS}/{name}.json")).unwrap()
    }

    #[test]
    fn what_api_servers_send_is_read_quickly() {
        for name in ["sized-plain", "sized-a-whole-pod"] {
            assert!(is_usual::<Pod>(&corpus(name)), "{name}");
        }
    }

    #[test]
    fn an_amount_that_nobody_reads_says_something_the_second_time_too() {
        let body = br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","object":{"spec":{"resources":{"requests":{"example.com/gpu":"1"}}}}}}"#;
        assert!(is_usual::<Pod>(body));
        let _judged = admission(body);
    }

    proptest! {
        #[test]
        fn a_spoilt_review_is_read_quickly_as_it_is_read_slowly(
            name in select(vec!["sized-plain", "sized-a-whole-pod", "left-two-nodes", "already-sized"]),
            letters in prop::collection::vec((any::<Place>(), select(b"xyz\"\\\n\x0c{}[],:u09-e\xc3".to_vec())), 1..5),
            (before, behind) in (select(vec!["", "{},", " "]), select(vec!["", "\u{c}", "\n", "{}"])),
        ) {
            let mut body = corpus(name);
            for (place, letter) in letters {
                let at = place.index(body.len());
                body[at] = letter;
            }
            let _judged = admission(&[before.as_bytes(), &body, behind.as_bytes()].concat());
        }
    }

    /// The name of a file begins with how it is judged.
    #[test]
    fn every_review_of_the_corpus_is_judged_as_its_name_says() {
        let mut judged = Vec::new();
        for file in fs::read_dir(CORPUS).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let verdict = admission(&fs::read(&path).unwrap());
            let expected = name.split('-').next().unwrap();
            assert_eq!(verdict, expected, "{name}");
            judged.push(verdict);
        }
        for verdict in [
            "sized",
            "already",
            "left",
            "malformed",
            "not_daemonset",
            "no_daemonset",
            "not_annotated",
        ] {
            let count = judged.iter().filter(|one| **one == verdict).count();
            assert!(count > 0, "the corpus shows no {verdict}");
        }
    }
}
