use super::*;
use crate::kit::names::WRITTEN_BUNDLE;
use crate::process::health::Health;
use crate::testkit::api_server::ApiServer;
use crate::webhook::authority::{Authority, Validity};
use crate::webhook::rollover::plan::Authorities;
use crate::webhook::tls::certificates;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::json;

const API: &str = "/apis/admissionregistration.k8s.io/v1";

const LIFETIMES: Lifetimes = Lifetimes {
    authority: Duration::from_secs(900),
    leaf: Duration::from_secs(90),
    grace: Duration::from_secs(60),
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds.saturating_add(1_800_000_000)).unwrap()
}

/// An API server with both configurations of ours and somebody else's, and a leader.
struct Cluster {
    server: ApiServer,
    keeper: Keeper,
    found: watch::Sender<Option<Pair>>,
}

fn path(kind: &str) -> String {
    format!("{API}/{}s/hooks", kind.to_lowercase())
}

impl Cluster {
    async fn new() -> Self {
        let cluster = Self::without_an_authority();
        let store = &cluster.keeper.setup.store;
        store.ensure(None, None, at(0)).await.unwrap();
        cluster
    }

    fn without_an_authority() -> Self {
        let server = ApiServer::default();
        for (kind, webhooks) in KINDS.into_iter().zip([2, 1]) {
            let webhook =
                json!({ "name": "w", "clientConfig": { "service": { "name": "hooks" } } });
            let webhooks = vec![webhook; webhooks];
            let configuration = json!({ "metadata": { "name": "hooks" }, "webhooks": webhooks });
            server.put(&path(kind), configuration.clone());
            server.put(&path(kind).replace("hooks", "others"), configuration);
        }
        let found = watch::Sender::new(None);
        let keeper = Keeper::new(setup(&server, &found));
        Self {
            server,
            keeper,
            found,
        }
    }

    /// The leader died, another one leads.
    fn next_leader(&mut self) {
        self.keeper = Keeper::new(setup(&self.server, &self.found));
    }

    /// All steps that there are at this time.
    async fn steps(&mut self, seconds: i64) {
        while self.keeper.take_a_step(at(seconds)).await.unwrap() {}
    }

    /// What every webhook trusts; it fails if they differ.
    fn trusted(&self) -> BTreeSet<Der> {
        let mut all: Vec<_> = KINDS
            .into_iter()
            .flat_map(|kind| self.trusted_by(kind))
            .collect();
        let first = all.pop().unwrap();
        assert!(all.iter().all(|trusted| *trusted == first));
        first
    }

    fn trusted_by(&self, kind: &str) -> Vec<BTreeSet<Der>> {
        let stored = self.server.stored(&path(kind)).unwrap();
        let webhooks = stored["webhooks"].as_array().unwrap().iter();
        webhooks
            .map(|webhook| {
                let encoded = webhook["clientConfig"]["caBundle"].as_str();
                let pem = STANDARD.decode(encoded.unwrap_or_default()).unwrap();
                if pem.is_empty() {
                    return BTreeSet::new();
                }
                ders(std::str::from_utf8(&pem).unwrap()).unwrap()
            })
            .collect()
    }

    async fn authorities(&self) -> Authorities {
        let kept = self.keeper.setup.store.find().await.unwrap();
        kept.unwrap().authorities
    }

    /// Writes the bundle of a configuration as a person would.
    fn paste(&self, kind: &str, bundle: &str) {
        let mut stored = self.server.stored(&path(kind)).unwrap();
        for webhook in stored["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"]["caBundle"] = json!(STANDARD.encode(bundle));
        }
        self.server.put(&path(kind), stored);
    }

    fn annotate(&self, kind: &str, key: &str, value: &str) {
        let mut stored = self.server.stored(&path(kind)).unwrap();
        stored["metadata"]["annotations"][key] = json!(value);
        self.server.put(&path(kind), stored);
    }
}

fn setup(server: &ApiServer, found: &watch::Sender<Option<Pair>>) -> Setup {
    Setup {
        client: server.client(),
        store: Store::new(server.client(), "apps", "hooks", LIFETIMES.authority),
        name: "hooks".into(),
        lifetimes: LIFETIMES,
        found: found.subscribe(),
    }
}

fn only(authority: &Authority) -> BTreeSet<Der> {
    ders(authority.certificate()).unwrap()
}

#[tokio::test]
async fn every_configuration_of_ours_is_told_and_nobody_elses() {
    let mut cluster = Cluster::new().await;
    cluster.steps(0).await;
    assert_eq!(
        cluster.trusted(),
        only(&cluster.authorities().await.current)
    );
    for kind in KINDS {
        let others = cluster
            .server
            .stored(&path(kind).replace("hooks", "others"));
        assert!(!others.unwrap().to_string().contains("caBundle"));
    }
    let writes = || {
        let calls = cluster.server.calls();
        calls
            .iter()
            .filter(|call| call.starts_with("PATCH"))
            .count()
    };
    let before = writes();
    assert!(!cluster.keeper.take_a_step(at(1)).await.unwrap());
    assert_eq!(writes(), before, "what is right is not written again");
}

#[tokio::test]
async fn a_bundle_that_somebody_empties_or_changes_is_put_right() {
    let mut cluster = Cluster::new().await;
    cluster.steps(0).await;
    let right = cluster.trusted();
    cluster.paste(KINDS[0], "");
    cluster.steps(1).await;
    assert_eq!(cluster.trusted(), right);
    let foreign = Authority::create("foreign", LIFETIMES.authority, at(0)).unwrap();
    cluster.paste(KINDS[1], foreign.certificate());
    cluster.steps(2).await;
    assert_eq!(cluster.trusted(), right);
}

#[tokio::test]
async fn an_authority_rolls_over_though_each_step_is_another_leaders() {
    let mut cluster = Cluster::new().await;
    cluster.steps(0).await;
    let first = cluster.authorities().await.current;
    let mut seen = Vec::new();
    for second in (0..900).step_by(10) {
        loop {
            cluster.next_leader();
            let is_busy = cluster.keeper.take_a_step(at(second)).await.unwrap();
            let authorities = cluster.authorities().await;
            assert!(
                cluster.trusted().is_superset(&only(&authorities.current)),
                "{second} s"
            );
            let stage = (
                authorities.current == first,
                cluster.trusted().contains(only(&first).first().unwrap()),
                cluster.trusted().len(),
            );
            if seen.last() != Some(&stage) {
                seen.push(stage);
            }
            if !is_busy {
                break;
            }
        }
    }
    let expected = [
        (true, true, 1),
        (true, true, 2),
        (false, true, 2),
        (false, false, 1),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn somebody_who_writes_first_is_not_overwritten() {
    let mut cluster = Cluster::new().await;
    let call = format!("PATCH {}", path(KINDS[0]));
    cluster.server.refuse_once(&call, StatusCode::CONFLICT);
    let refused = cluster.keeper.take_a_step(at(0)).await.unwrap_err();
    assert!(refused.is_conflict());
    cluster.steps(0).await;
    assert_eq!(cluster.trusted().len(), 1);
    // And the patch carries the version that it was decided on.
    let api = cluster.keeper.setup.api(KINDS[0]);
    let stale = api.get("hooks").await.unwrap();
    cluster.annotate(KINDS[0], "x", "y");
    let late = writes::amend(&api, (&PUBLISH).into(), &stale, json!([])).await;
    assert!(late.unwrap_err().is_conflict());
}

#[tokio::test]
async fn what_cert_manager_keeps_is_left_alone() {
    let mut cluster = Cluster::new().await;
    cluster.annotate(KINDS[0], "cert-manager.io/inject-ca-from", "apps/hooks");
    cluster.steps(0).await;
    assert!(cluster.trusted_by(KINDS[0]).iter().all(BTreeSet::is_empty));
    assert!(
        cluster
            .trusted_by(KINDS[1])
            .iter()
            .all(|trusted| trusted.len() == 1)
    );
}

#[tokio::test]
async fn what_cert_manager_kept_stays_for_a_while_when_we_are_our_own_authority_again() {
    let mut cluster = Cluster::new().await;
    let (own, injected) = (cluster.authorities().await.current, theirs());
    let both = format!("{}{}", own.certificate(), injected.certificate());
    cluster.paste(KINDS[0], injected.certificate());
    // The injector keeps what it finds: this one was ours before.
    cluster.paste(KINDS[1], &both);
    cluster.annotate(KINDS[1], WRITTEN_BUNDLE, "former");
    for second in [0, 1, 599] {
        cluster.steps(second).await;
        assert_eq!(cluster.trusted(), ders(&both).unwrap(), "{second} s");
    }
    cluster.steps(600).await;
    assert!(cluster.trusted().is_disjoint(&only(&injected)));
}

/// Files with a leaf of this authority, and its `ca.crt` if wanted.
fn files(authority: &Authority, with_authority: bool) -> Pair {
    let leaf = authority
        .issue(&["hooks.apps.svc".into()], LIFETIMES.leaf, at(0))
        .unwrap();
    let chain = certificates(leaf.certificate.as_bytes()).unwrap();
    Pair {
        validity: Validity::of(&chain[0]).unwrap(),
        chain,
        authority: if with_authority {
            certificates(authority.certificate().as_bytes()).unwrap()
        } else {
            Vec::new()
        },
    }
}

fn theirs() -> Authority {
    Authority::create("theirs", LIFETIMES.authority, at(0)).unwrap()
}

#[tokio::test]
async fn files_with_their_authority_make_api_servers_trust_it_and_the_former_one_for_a_while() {
    let mut cluster = Cluster::without_an_authority();
    let (former, next) = (theirs(), theirs());
    cluster.found.send_replace(Some(files(&former, true)));
    cluster.steps(0).await;
    assert_eq!(cluster.trusted(), only(&former));
    cluster.found.send_replace(Some(files(&next, true)));
    cluster.steps(10).await;
    let both: BTreeSet<_> = only(&former).union(&only(&next)).cloned().collect();
    assert_eq!(cluster.trusted(), both);
    cluster.steps(609).await;
    assert_eq!(cluster.trusted(), both);
    cluster.steps(611).await;
    assert_eq!(cluster.trusted(), only(&next));
}

#[tokio::test]
async fn a_leaf_without_its_authority_is_trusted_itself() {
    let mut cluster = Cluster::without_an_authority();
    let pair = files(&theirs(), false);
    cluster.found.send_replace(Some(pair.clone()));
    cluster.paste(KINDS[0], "\n");
    cluster.steps(0).await;
    assert_eq!(cluster.trusted(), BTreeSet::from([pair.chain[0].to_vec()]));
}

#[tokio::test]
async fn a_bundle_that_a_person_pasted_is_left_alone_while_files_are_served() {
    for has_authority in [false, true] {
        let mut cluster = Cluster::without_an_authority();
        let pasted = theirs();
        cluster.paste(KINDS[0], pasted.certificate());
        cluster
            .found
            .send_replace(Some(files(&theirs(), has_authority)));
        cluster.steps(0).await;
        let kept = cluster.trusted_by(KINDS[0]);
        assert!(kept.iter().all(|trusted| *trusted == only(&pasted)));
        cluster.annotate(KINDS[1], WRITTEN_BUNDLE, "another");
        let before = cluster.trusted_by(KINDS[1]);
        cluster
            .found
            .send_replace(Some(files(&theirs(), has_authority)));
        cluster.steps(1).await;
        assert_eq!(
            cluster.trusted_by(KINDS[1]),
            before,
            "changed since we wrote it"
        );
    }
}

#[tokio::test]
async fn our_own_authority_stays_trusted_beside_files_that_came_later() {
    let mut cluster = Cluster::new().await;
    cluster.steps(0).await;
    let own = cluster.trusted();
    let next = theirs();
    cluster.found.send_replace(Some(files(&next, true)));
    cluster.steps(1).await;
    let both: BTreeSet<_> = own.union(&only(&next)).cloned().collect();
    assert_eq!(cluster.trusted(), both);
}

#[tokio::test]
async fn without_configurations_or_authorities_there_is_nothing_to_do() {
    let mut cluster = Cluster::without_an_authority();
    assert!(!cluster.keeper.take_a_step(at(0)).await.unwrap());
    let mut cluster = Cluster::new().await;
    for kind in KINDS {
        cluster.server.remove(&path(kind));
    }
    assert!(!cluster.keeper.take_a_step(at(0)).await.unwrap());
}

#[test]
fn an_operation_is_made_for_each_webhook_and_the_mark_is_left() {
    let object = json!({ "apiVersion": "v1", "kind": "X", "metadata": { "name": "hooks" }, "webhooks": [{}, {}] });
    let object = serde_json::from_value(object).unwrap();
    let mut bundle = Bundle::default();
    bundle.add_pem(theirs().certificate()).unwrap();
    let operations = Configuration::read(KINDS[0], object).operations(&bundle);
    let paths: Vec<_> = operations
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| operation["path"].as_str().unwrap())
        .collect();
    let mark = "/metadata/annotations/holdfast.dev~1written-ca-bundle";
    let bundle_of = |index| format!("/webhooks/{index}/clientConfig/caBundle");
    assert_eq!(
        paths,
        [&bundle_of(0), &bundle_of(1), "/metadata/annotations", mark]
    );
    let mark = operations[3]["value"].as_str().unwrap();
    assert_eq!((mark.len(), mark), (64, &*fingerprint(&bundle.ders())));
    assert_eq!(operations[2]["value"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn a_replica_is_ready_when_api_servers_are_told_and_stays_so() {
    let mut cluster = Cluster::new().await;
    let health = Health::new(Duration::from_secs(60));
    health.is_ready("start");
    let setup = cluster.keeper.setup.clone();
    let waiting = told::wait(&setup, &health);
    let mut waiting = std::pin::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_secs(5), &mut waiting).await;
    assert!(early.is_err(), "nobody has written a bundle");
    let why = health.ready().unwrap_err();
    assert!(why.contains("MutatingWebhookConfiguration hooks"), "{why}");
    cluster.steps(0).await;
    waiting.await;
    assert_eq!(health.ready(), Ok(()));
    for kind in KINDS {
        cluster.server.remove(&path(kind));
    }
    told::wait(&setup, &health).await;
    assert_eq!(health.ready(), Ok(()), "nothing is there to be told");
}
