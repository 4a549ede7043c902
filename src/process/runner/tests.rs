use super::*;
use crate::testkit::api_server::ApiServer;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::watch;

#[test]
fn backs_off_longer_each_time_but_never_for_ever() {
    let pauses: Vec<_> = (1..=40)
        .map(|n| back_off("nodeop a", n, LONGEST_PAUSE))
        .collect();
    assert!(pauses[0] >= FIRST_PAUSE / 2 && pauses[0] <= FIRST_PAUSE);
    assert!(pauses[8] > pauses[4] && pauses[4] > pauses[1]);
    assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
    assert!(*pauses.last().unwrap() >= LONGEST_PAUSE / 2);
}

#[test]
fn spreads_what_failed_together() {
    let pauses: std::collections::BTreeSet<_> = (0..50)
        .map(|n| back_off(&format!("pod {n}"), 5, LONGEST_PAUSE))
        .collect();
    assert!(pauses.len() > 25, "{}", pauses.len());
}

#[test]
fn forgets_failures_after_a_success() {
    let failures = Failures::default();
    let first = failures.pause("x", "1");
    assert!(failures.pause("x", "1") > first);
    failures.forget("x");
    assert_eq!(failures.pause("x", "1"), first);
}

#[test]
fn a_namesake_begins_anew() {
    let failures = Failures::default();
    let first = failures.pause("x", "1");
    for _ in 0..10 {
        failures.pause("x", "1");
    }
    assert_eq!(failures.pause("x", "2"), first);
}

const PATH: &str = "/api/v1/namespaces/default/configmaps/a";
const PASS_LIMIT: Duration = Duration::from_secs(60);

/// Longer than anything here takes, on a clock that leaps.
const IN_TIME: Duration = Duration::from_secs(24 * 3600);

/// What a pass is told to do, and how many have begun.
struct Script {
    server: ApiServer,
    begun: watch::Sender<u32>,
    ended: AtomicU32,
    permits: tokio::sync::Semaphore,
    act: Act,
}

#[derive(Clone, Copy)]
enum Act {
    Hang,
    Fail,
    FailThenGo,
    Panic,
    WaitForPermit,
    Succeed,
}

fn reconcile(
    _object: Arc<ConfigMap>,
    script: Arc<Script>,
) -> BoxFuture<'static, Result<Action, Error>> {
    Box::pin(async move {
        script
            .begun
            .send_modify(|count| *count = count.saturating_add(1));
        match script.act {
            Act::Hang => std::future::pending().await,
            Act::Fail => return Err(ended("a thing", "it was told to fail".into())),
            Act::FailThenGo => {
                script.server.remove(PATH);
                return Err(ended("a thing", "it was told to fail".into()));
            }
            Act::Panic => panic!("told to panic"),
            Act::WaitForPermit => drop(script.permits.acquire().await.unwrap()),
            Act::Succeed => {}
        }
        script.ended.fetch_add(1, Ordering::Relaxed);
        Ok(Action::await_change())
    })
}

/// A runner at work on one object.
struct World {
    server: ApiServer,
    runner: Runner,
    script: Arc<Script>,
    run: Arc<Run<Script>>,
    running: tokio::task::JoinHandle<Result<(), Error>>,
}

impl World {
    fn new(act: Act) -> Self {
        let server = ApiServer::default();
        server.put(
            PATH,
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "namespace": "default" } }),
        );
        Self::on(server, act)
    }

    fn on(server: ApiServer, act: Act) -> Self {
        let run = Arc::new(Run {
            name: "test",
            context: Arc::new(Script {
                server: server.clone(),
                begun: watch::Sender::new(0),
                ended: AtomicU32::new(0),
                permits: tokio::sync::Semaphore::new(0),
                act,
            }),
            pass_limit: PASS_LIMIT,
            telemetry: Arc::default(),
            failures: Failures::default(),
        });
        let runner = Runner {
            concurrency: 2,
            pass_limit: PASS_LIMIT,
            telemetry: Arc::clone(&run.telemetry),
            stop: CancellationToken::new(),
        };
        let api: Api<ConfigMap> = Api::namespaced(server.client(), "default");
        let controller = Controller::new(api, watcher::Config::default());
        let (its_runner, its_run) = (runner.clone(), Arc::clone(&run));
        Self {
            server,
            runner,
            script: Arc::clone(&run.context),
            run,
            running: tokio::spawn(
                async move { its_runner.work(controller, its_run, reconcile).await },
            ),
        }
    }

    async fn begun(&self, passes: u32) {
        let mut begun = self.script.begun.subscribe();
        let waited = tokio::time::timeout(IN_TIME, begun.wait_for(|count| *count >= passes)).await;
        assert!(waited.is_ok(), "pass {passes} did not begin");
    }

    fn counted(&self, outcome: &str) -> u32 {
        let line =
            format!("holdfast_reconcile_total{{controller=\"test\",outcome=\"{outcome}\"}} ");
        let text = self.runner.telemetry.text();
        let count = text.lines().find_map(|found| found.strip_prefix(&line));
        count.map_or(0, |count| count.parse().unwrap())
    }

    async fn end(self) -> Result<(), Error> {
        let ended = tokio::time::timeout(IN_TIME, self.running).await;
        ended.expect("it does not end").expect("it panicked")
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_hangs_is_ended_and_counted_and_tried_again() {
    let world = World::new(Act::Hang);
    world.begun(2).await;
    assert_eq!(world.counted("timed_out"), 1);
    world.runner.stop.cancel();
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_fails_is_counted_by_class_and_tried_again() {
    let world = World::new(Act::Fail);
    world.begun(3).await;
    assert!(world.counted("ended") >= 2);
    world.runner.stop.cancel();
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_object_that_changes_is_looked_at_again() {
    let world = World::new(Act::Succeed);
    world.begun(1).await;
    let changed = world.server.stored(PATH).unwrap();
    world.server.put(PATH, changed);
    world.begun(2).await;
    assert_eq!(world.script.ended.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_pass_ends_it_all_with_what_was_said() {
    let world = World::new(Act::Panic);
    let telemetry = Arc::clone(&world.runner.telemetry);
    let error = world.end().await.unwrap_err().to_string();
    assert!(
        error.contains("configmap") || error.contains("ConfigMap"),
        "{error}"
    );
    assert!(error.contains("told to panic"), "{error}");
    assert!(telemetry.text().contains("outcome=\"panicked\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn the_stop_lets_a_running_pass_end() {
    let world = World::new(Act::WaitForPermit);
    world.begun(1).await;
    world.runner.stop.cancel();
    tokio::task::yield_now().await;
    assert!(!world.running.is_finished());
    world.script.permits.add_permits(1);
    let script = Arc::clone(&world.script);
    world.end().await.unwrap();
    assert_eq!(script.ended.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn the_stop_does_not_wait_for_crds_that_are_missing() {
    let world = World::on(ApiServer::default(), Act::Succeed);
    until(|| !world.server.calls().is_empty()).await;
    world.runner.stop.cancel();
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_is_forgotten() {
    let world = World::new(Act::FailThenGo);
    let is_remembered = || !world.run.failures.0.lock().unwrap().is_empty();
    until(is_remembered).await;
    assert_eq!(world.server.stored(PATH), None);
    until(|| !is_remembered()).await;
    assert_eq!(*world.script.begun.borrow(), 1);
}

/// Waits for something that nobody announces, on a clock that leaps: looks more often than anything is tried again.
async fn until(is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(IN_TIME, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    waited.await.expect("it is never so");
}
