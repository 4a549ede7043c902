//! Two candidates, a lost API server, wrong clocks and a shutdown, in paused time: what must hold is that there is never a moment
//! with two leaders.

use super::*;
use crate::testkit::api_server::ApiServer;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/holdfast";

fn settings(identity: &str) -> Settings {
    Settings {
        namespace: "ns".into(),
        lease: "holdfast".into(),
        identity: identity.into(),
        duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry: Duration::from_secs(2),
    }
}

fn candidate(server: &ApiServer, identity: &str) -> Elector {
    Elector::new(server.client(), settings(identity), || {})
}

/// A candidate that has just begun to lead.
async fn leading(server: &ApiServer) -> (Elector, CancellationToken) {
    let stop = CancellationToken::new();
    let mut leader = candidate(server, "a");
    leader.acquire(&stop).await.unwrap();
    (leader, stop)
}

/// It keeps its Lease in the background.
fn kept(mut leader: Elector, stop: &CancellationToken) -> tokio::task::JoinHandle<End> {
    let stop = stop.clone();
    tokio::spawn(async move { leader.keep(&stop).await })
}

fn holder(server: &ApiServer) -> String {
    server
        .stored(PATH)
        .and_then(|lease| lease["spec"]["holderIdentity"].as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// A candidate that leads as long as it can, and counts how many lead at once.
async fn serve(
    mut elector: Elector,
    stop: CancellationToken,
    leading: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
) -> Option<End> {
    elector.acquire(&stop).await?;
    most.fetch_max(
        leading.fetch_add(1, Ordering::SeqCst).saturating_add(1),
        Ordering::SeqCst,
    );
    let end = elector.keep(&stop).await;
    leading.fetch_sub(1, Ordering::SeqCst);
    if end == End::Stopped {
        elector.release().await.unwrap();
    }
    Some(end)
}

#[tokio::test(start_paused = true)]
async fn one_of_two_candidates_leads_and_the_other_takes_over_after_a_release() {
    let server = ApiServer::default();
    let (leading, most) = (Arc::default(), Arc::default());
    let (first_stop, second_stop) = (CancellationToken::new(), CancellationToken::new());
    let first = tokio::spawn(serve(
        candidate(&server, "a"),
        first_stop.clone(),
        Arc::clone(&leading),
        Arc::clone(&most),
    ));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = tokio::spawn(serve(
        candidate(&server, "b"),
        second_stop.clone(),
        Arc::clone(&leading),
        Arc::clone(&most),
    ));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(holder(&server), "a");
    first_stop.cancel();
    assert_eq!(first.await.unwrap(), Some(End::Stopped));
    assert_eq!(
        holder(&server),
        "",
        "a leader that stops hands the lease back"
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        holder(&server),
        "b",
        "the next leader need not wait for the lease to run out"
    );
    second_stop.cancel();
    assert_eq!(second.await.unwrap(), Some(End::Stopped));
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_followed_after_a_lease_duration_and_not_before() {
    let server = ApiServer::default();
    let stop = CancellationToken::new();
    let mut dead = candidate(&server, "dead");
    let before = dead.acquire(&stop).await.unwrap();
    let started = Instant::now();
    let after = candidate(&server, "b").acquire(&stop).await.unwrap();
    assert!(
        started.elapsed() >= Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    assert!(
        started.elapsed() <= Duration::from_secs(19),
        "{:?}",
        started.elapsed()
    );
    assert!(
        after.transitions > before.transitions,
        "the fencing number moves"
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_an_api_server_gives_up_before_another_may_take_over() {
    let server = ApiServer::default();
    let (mut leader, stop) = leading(&server).await;
    server.cut_off(true);
    let cut_off = Instant::now();
    let end = leader.keep(&stop).await;
    assert!(matches!(end, End::Lost { .. }), "{end:?}");
    assert!(
        cut_off.elapsed() <= Duration::from_secs(10),
        "{:?}",
        cut_off.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_refusal_and_then_silence_do_not_stretch_the_deadline() {
    let server = ApiServer::default();
    let (mut leader, stop) = leading(&server).await;
    let led = Instant::now();
    // Somebody sets a label: the renewal is answered 409, four seconds late, and the look that follows is never answered.
    server.put(PATH, server.stored(PATH).unwrap());
    server.slow_down(
        Duration::from_secs(4),
        server.calls().len().saturating_add(1),
    );
    let end = leader.keep(&stop).await;
    assert!(matches!(end, End::Lost { .. }), "{end:?}");
    assert!(
        led.elapsed() <= Duration::from_secs(10),
        "{:?}",
        led.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn one_silent_connection_does_not_cost_the_leadership() {
    let server = ApiServer::default();
    let (leader, stop) = leading(&server).await;
    let kept = kept(leader, &stop);
    server.cut_off(true);
    tokio::time::sleep(Duration::from_secs(5)).await;
    server.cut_off(false);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!kept.is_finished(), "the next try went through");
    stop.cancel();
    assert_eq!(kept.await.unwrap(), End::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_over_a_label_is_no_loss() {
    let server = ApiServer::default();
    let (leader, stop) = leading(&server).await;
    let kept = kept(leader, &stop);
    // The first renewal is answered 409.
    let former = server.stored(PATH).unwrap();
    server.put(PATH, former);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!kept.is_finished(), "a conflict over a label is no loss");
    stop.cancel();
    assert_eq!(kept.await.unwrap(), End::Stopped);
}

#[tokio::test(start_paused = true)]
async fn no_clock_but_its_own_is_believed() {
    // The other leader's clock is a year ahead in one world and a year behind in the other: it is followed at the same time.
    for skewed in ["2027-11-21T00:00:00.000000Z", "2025-11-21T00:00:00.000000Z"] {
        let server = ApiServer::default();
        let record = |renewed: &str| {
            json!({ "metadata": { "name": "holdfast", "namespace": "ns" }, "spec": {
            "holderIdentity": "other", "leaseDurationSeconds": 15, "renewTime": renewed, "acquireTime": skewed, "leaseTransitions": 4 } })
        };
        server.put(PATH, record(skewed));
        let stop = CancellationToken::new();
        let mut waiting = candidate(&server, "b");
        let started = Instant::now();
        let renewing = async {
            // It renews every two seconds for a minute, and dies.
            for second in 0..30 {
                tokio::time::sleep(Duration::from_secs(2)).await;
                server.put(
                    PATH,
                    record(&format!("2026-01-01T00:00:{second:02}.000000Z")),
                );
            }
        };
        let (leadership, ()) = tokio::join!(waiting.acquire(&stop), renewing);
        assert_eq!(leadership, Some(Leadership { transitions: 5 }));
        let waited = started.elapsed();
        assert!(
            waited >= Duration::from_secs(75) && waited <= Duration::from_secs(80),
            "{skewed}: {waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_deletes_does_not_make_two_leaders() {
    let server = ApiServer::default();
    let (mut leader, stop) = leading(&server).await;
    let mut other = candidate(&server, "b");
    let waiting = tokio::spawn(async move { other.acquire(&CancellationToken::new()).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.remove(PATH);
    let deleted = Instant::now();
    assert!(matches!(leader.keep(&stop).await, End::Lost { .. }));
    waiting.await.unwrap().unwrap();
    assert!(
        deleted.elapsed() >= Duration::from_secs(15),
        "{:?}",
        deleted.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_longer_promise_of_the_holder_is_respected() {
    let server = ApiServer::default();
    server.put(PATH, json!({ "metadata": { "name": "holdfast", "namespace": "ns" }, "spec": {
        "holderIdentity": "other", "leaseDurationSeconds": 60, "renewTime": "2026-01-01T00:00:00.000000Z" } }));
    let started = Instant::now();
    candidate(&server, "b")
        .acquire(&CancellationToken::new())
        .await
        .unwrap();
    assert!(started.elapsed() >= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn whoever_was_overtaken_says_who_leads_now() {
    let server = ApiServer::default();
    let (mut leader, stop) = leading(&server).await;
    let mut stolen = server.stored(PATH).unwrap();
    stolen["spec"]["holderIdentity"] = json!("thief");
    server.put(PATH, stolen);
    assert_eq!(
        leader.keep(&stop).await,
        End::Lost {
            why: "thief holds it".into()
        }
    );
    leader.release().await.unwrap();
    assert_eq!(
        holder(&server),
        "thief",
        "a lease of another is not released"
    );
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_is_asked_to_stop_stops() {
    let server = ApiServer::default();
    server.cut_off(true);
    let stop = CancellationToken::new();
    let mut waiting = candidate(&server, "a");
    let ended = tokio::spawn({
        let stop = stop.clone();
        async move { waiting.acquire(&stop).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    assert_eq!(ended.await.unwrap(), None);
}

#[test]
fn refuses_times_that_could_make_two_leaders() {
    assert!(settings("a").check().is_ok());
    assert!(
        Settings {
            identity: String::new(),
            ..settings("a")
        }
        .check()
        .is_err()
    );
    assert!(
        Settings {
            renew_deadline: Duration::from_secs(15),
            ..settings("a")
        }
        .check()
        .is_err()
    );
    assert!(
        Settings {
            retry: Duration::from_secs(10),
            ..settings("a")
        }
        .check()
        .is_err()
    );
    assert!(
        Settings {
            retry: Duration::ZERO,
            ..settings("a")
        }
        .check()
        .is_err()
    );
}
