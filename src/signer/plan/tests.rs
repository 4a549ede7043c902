//! Who gets a certificate, and who does not.

use super::*;
use crate::webhook::authority::request::ask;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};
use rcgen::KeyPair;

const ACCOUNT: &str = "system:serviceaccount:holdfast-system:holdfast-agent";

/// As the agent of node `n1` asks.
fn asked() -> CertificateSigningRequest {
    asked_for("n1.agents.holdfast.dev")
}

fn asked_for(name: &str) -> CertificateSigningRequest {
    let pem = ask(name, &KeyPair::generate().unwrap()).unwrap();
    let spec = CertificateSigningRequestSpec {
        signer_name: SIGNER.into(),
        username: Some(ACCOUNT.into()),
        extra: Some([(NODE_CLAIM.to_owned(), vec!["n1".to_owned()])].into()),
        usages: Some(USAGES.iter().rev().map(|&usage| usage.into()).collect()),
        request: ByteString(pem.into_bytes()),
        expiration_seconds: Some(3600),
        ..CertificateSigningRequestSpec::default()
    };
    CertificateSigningRequest {
        spec,
        ..CertificateSigningRequest::default()
    }
}

fn with(mut object: CertificateSigningRequest, kind: &str) -> CertificateSigningRequest {
    let condition = CertificateSigningRequestCondition {
        type_: kind.into(),
        status: "True".into(),
        ..CertificateSigningRequestCondition::default()
    };
    object.status = Some(CertificateSigningRequestStatus {
        conditions: Some(vec![condition]),
        ..CertificateSigningRequestStatus::default()
    });
    object
}

#[test]
fn the_agent_of_a_node_gets_its_name_and_no_longer_than_a_day() {
    assert_eq!(plan(&asked(), ACCOUNT), Some(Step::Approve));
    let life = |seconds| {
        let mut object = with(asked(), "Approved");
        object.spec.expiration_seconds = seconds;
        let Some(Step::Sign(wanted)) = plan(&object, ACCOUNT) else {
            panic!("it is signed");
        };
        assert_eq!(wanted.request.name(), "n1.agents.holdfast.dev");
        wanted.life
    };
    assert_eq!(life(Some(600)), Duration::from_secs(600));
    for longest in [None, Some(i32::MAX), Some(-1)] {
        assert_eq!(life(longest), LONGEST_LIFE);
    }
}

#[test]
fn whatever_breaks_a_rule_is_denied_and_never_signed() {
    type Change = fn(&mut CertificateSigningRequestSpec);
    let changes: [(Change, &str); 12] = [
        (|spec| spec.username = None, "only system:serviceaccount"),
        (
            |spec| spec.username = Some("system:admin".into()),
            "system:admin",
        ),
        (|spec| spec.extra = None, "names no node"),
        (
            |spec| spec.extra = Some([(NODE_CLAIM.to_owned(), vec![])].into()),
            "names no node",
        ),
        (
            |spec| {
                let nodes = vec!["n1".to_owned(), "n2".to_owned()];
                spec.extra = Some([(NODE_CLAIM.to_owned(), nodes)].into());
            },
            "names 2 nodes",
        ),
        (
            |spec| spec.extra = Some([(NODE_CLAIM.to_owned(), vec!["n2".to_owned()])].into()),
            "bound to a pod on node n2",
        ),
        (
            |spec| spec.extra = Some([(NODE_CLAIM.to_owned(), vec!["*".to_owned()])].into()),
            "no name of DNS",
        ),
        (|spec| spec.usages = None, "usages"),
        (
            |spec| spec.usages.as_mut().unwrap().push("cert sign".into()),
            "usages",
        ),
        (|spec| drop(spec.usages.as_mut().unwrap().pop()), "usages"),
        (|spec| spec.request = ByteString(Vec::new()), "its request"),
        (
            |spec| spec.request = ByteString(vec![b'-'; 9000]),
            "9000 bytes",
        ),
    ];
    for (change, why) in changes {
        let mut object = asked();
        change(&mut object.spec);
        let Some(Step::Deny(said)) = plan(&object, ACCOUNT) else {
            panic!("{why}: it is denied");
        };
        assert!(said.contains(why), "{said}");
        let Some(Step::Fail(again)) = plan(&with(object, "Approved"), ACCOUNT) else {
            panic!("{why}: somebody else's word changes nothing");
        };
        assert_eq!(again, said);
    }
}

#[test]
fn another_nodes_name_is_denied_and_so_is_one_that_only_begins_like_ours() {
    for name in [
        "n2.agents.holdfast.dev",
        "n1.agents.holdfast.dev.evil",
        "*.agents.holdfast.dev",
        "holdfast.holdfast-system.svc",
    ] {
        let step = plan(&asked_for(name), ACCOUNT);
        assert!(matches!(step, Some(Step::Deny(_))), "{name}: {step:?}");
    }
}

#[test]
fn what_is_over_or_anothers_is_left_alone() {
    for kind in ["Denied", "Failed"] {
        assert_eq!(plan(&with(asked(), kind), ACCOUNT), None);
    }
    let mut signed = with(asked(), "Approved");
    signed.status.as_mut().unwrap().certificate = Some(ByteString(b"one".to_vec()));
    assert_eq!(plan(&signed, ACCOUNT), None);
    let mut anothers = asked();
    anothers.spec.signer_name = "kubernetes.io/kube-apiserver-client".into();
    assert_eq!(plan(&anothers, ACCOUNT), None);
    anothers.spec.username = None;
    assert_eq!(plan(&anothers, ACCOUNT), None);
}
