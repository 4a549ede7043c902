//! A copy from one agent to another, by their orders: over real TLS, onto real disks.

use crate::agent::api::{
    CheckpointOrder, CheckpointWord, CopyOrder, CopyTarget, PodName, StateTask, StateTaskSpec,
};
use crate::agent::carrying::Carriers;
use crate::agent::copies::desk::{CopyDesk, expected};
use crate::agent::copies::give::{self, Given};
use crate::agent::copies::keep;
use crate::agent::host::Host;
use crate::agent::orders::Orders;
use crate::agent::peers::desk::{Desk, Desks};
use crate::agent::peers::identity::Identity;
use crate::agent::peers::identity::tests::{agent, authority};
use crate::agent::peers::receiving::Receiving;
use crate::agent::peers::running::Ways;
use crate::agent::peers::{server, service};
use crate::agent::records::Records;
use crate::agent::store::manifest::Manifest;
use crate::agent::store::{Found, Generation};
use crate::agent::targets::Targets;
use crate::agent::tasks::Means;
use crate::agent::waiting::Waiting;
use crate::process::telemetry::AgentMetrics;
use crate::testkit::api_server::ApiServer;
use crate::testkit::folder::Folder;
use crate::webhook::authority::Authority;
use kube::runtime::{reflector, watcher};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

const COPY: &str = "/apis/holdfast.dev/v1alpha1/namespaces/ns/statetasks/copy";

/// An agent, and the one order that it sees.
struct Node {
    means: Means,
    api: ApiServer,
    folder: Folder,
}

impl Node {
    fn new(identity: &Arc<Identity>, node: &str, task: &StateTask) -> Self {
        Self::with_reserve((identity, node), task, 0)
    }

    /// So much of its disk stays free, in percent.
    fn with_reserve(
        (identity, node): (&Arc<Identity>, &str),
        task: &StateTask,
        reserve: u64,
    ) -> Self {
        let (folder, api) = (Folder::new(), ApiServer::default());
        let (orders, mut writer) = reflector::store();
        writer.apply_watcher_event(&watcher::Event::Apply(task.clone()));
        let host = Host::at(folder.path().to_owned());
        let records = Records::open(&host.records()).unwrap();
        let own = (host.clone(), node.to_owned());
        let targets = Targets::new(own, records.clone(), Orders::of(orders), Waiting::default());
        let means = Means {
            metrics: AgentMetrics::default(),
            client: api.client(),
            node: node.to_owned(),
            targets,
            carriers: Carriers::new(None),
            records,
            ways: Some(Ways::of(Arc::clone(identity))),
            receiving: Arc::new(Receiving::new(host.checkpoints(), reserve)),
            host,
            prefixes: &[],
            stop: CancellationToken::new(),
        };
        Self { means, api, folder }
    }

    fn generation(&self) -> Generation {
        Generation::of(&self.means.host.checkpoints(), ("ns", "u1"), "g").unwrap()
    }

    /// What the leader is told of the copy.
    async fn looks(&self, task: &StateTask) -> Value {
        self.api.put(COPY, serde_json::to_value(task).unwrap());
        let order = task.spec.copy.as_ref().unwrap();
        keep::look(&self.means, task, order).await.unwrap();
        self.api.stored(COPY).unwrap()["status"]["copy"].clone()
    }
}

fn task(name: &str, node: &str, spec: StateTaskSpec) -> StateTask {
    let mut task = StateTask::new(
        name,
        StateTaskSpec {
            node_name: node.into(),
            operation: "op".into(),
            ..spec
        },
    );
    task.metadata.namespace = Some("ns".into());
    task
}

fn pod() -> PodName {
    PodName {
        name: "web".into(),
        uid: "u1".into(),
    }
}

/// A state that is kept on the node; its digest.
fn seal(generation: &Generation) -> String {
    generation.begin().unwrap();
    let images = generation.part().join("containers/web/images");
    std::fs::create_dir_all(&images).unwrap();
    std::fs::write(images.join("pages-1.img"), vec![7; 3_000_000]).unwrap();
    let manifest = Manifest::of_web();
    generation.cut(&manifest).unwrap();
    generation.seal(manifest, None).unwrap();
    digest(generation)
}

fn digest(generation: &Generation) -> String {
    match generation.look().unwrap() {
        Found::Sealed(_, digest) => digest,
        other => panic!("{other:?}"),
    }
}

/// The agent of node `n1`, which keeps a state and sends it there; the digest.
fn source(authority: &Authority, address: SocketAddr) -> (Node, CheckpointOrder, String) {
    let order = CheckpointOrder {
        pod: pod(),
        generation: "g".into(),
        copies: vec![CopyTarget {
            node: "n2".into(),
            address: address.to_string(),
        }],
        ..CheckpointOrder::default()
    };
    let taking = StateTaskSpec {
        checkpoint: Some(order.clone()),
        ..StateTaskSpec::default()
    };
    let one = agent("n1", authority, &[authority]);
    let source = Node::new(&one, "n1", &task("checkpoint-op", "n1", taking));
    let digest = seal(&source.generation());
    (source, order, digest)
}

/// What node `n2` is told.
fn keeping(digest: &str) -> StateTask {
    let keeping = StateTaskSpec {
        copy: Some(CopyOrder {
            pod: pod(),
            generation: "g".into(),
            source_node: "n1".into(),
            digest: digest.into(),
            bytes: 3_000_000,
            word: CheckpointWord::Take,
        }),
        ..StateTaskSpec::default()
    };
    task("copy", "n2", keeping)
}

/// Node `n2` answers until the guard is dropped.
fn serve(target: &Node, two: Arc<Identity>, listener: TcpListener) -> DropGuard {
    let desk: Arc<dyn Desk> = Arc::new(CopyDesk::new(target.means.targets.orders().clone()));
    let service = service::shared(Desks::new(vec![desk]), Arc::clone(&target.means.receiving));
    let stop = CancellationToken::new();
    tokio::spawn(server::serve(listener, two, service, stop.clone()));
    stop.drop_guard()
}

#[tokio::test]
async fn a_copy_goes_where_the_orders_say_and_goes_away_when_it_is_not_wanted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = authority();
    let (source, order, digest_here) = source(&authority, listener.local_addr().unwrap());
    let two = agent("n2", &authority, &[&authority]);
    let mut copy = keeping(&digest_here);
    let target = Node::new(&two, "n2", &copy);
    let _stops = serve(&target, two, listener);
    let busy = target
        .means
        .receiving
        .turn(expected(&copy, copy.spec.copy.as_ref().unwrap()), "g");
    assert_eq!(
        target.looks(&copy).await["standing"],
        "Idle",
        "who looks takes nobody's turn"
    );
    drop(busy);
    let mut given = Given::default();
    let what = ("op", &order);
    give::give(&source.means, what, &source.generation(), &mut given).await;
    let told = given.report(&order);
    assert!(told[0].is_sent && give::is_done(&order, &told), "{told:?}");
    let kept = target.looks(&copy).await;
    assert_eq!(
        (&kept["standing"], &kept["digest"]),
        (&"Kept".into(), &digest_here.clone().into())
    );
    assert_eq!(digest(&target.generation()), digest_here);
    copy.spec.copy.as_mut().unwrap().word = CheckpointWord::Forget;
    assert_eq!(target.looks(&copy).await["standing"], "Forgotten");
    assert!(
        !target
            .folder
            .path()
            .join("var/lib/holdfast/checkpoints/ns")
            .exists()
    );
    assert_eq!(digest(&source.generation()), digest_here, "one's own stays");
}

#[tokio::test]
async fn a_node_without_room_says_so_until_nothing_is_wanted_of_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = authority();
    let (source, order, digest) = source(&authority, listener.local_addr().unwrap());
    let two = agent("n2", &authority, &[&authority]);
    let mut copy = keeping(&digest);
    let target = Node::with_reserve((&two, "n2"), &copy, 100);
    let _stops = serve(&target, two, listener);
    let mut given = Given::default();
    let what = ("op", &order);
    give::give(&source.means, what, &source.generation(), &mut given).await;
    assert!(!given.report(&order)[0].is_sent);
    let told = target.looks(&copy).await;
    assert_eq!(told["standing"], "Failed");
    assert!(told["why"].as_str().unwrap().contains("no room"), "{told}");
    copy.spec.copy.as_mut().unwrap().word = CheckpointWord::Forget;
    assert_eq!(target.looks(&copy).await["standing"], "Forgotten");
    copy.spec.copy.as_mut().unwrap().word = CheckpointWord::Take;
    assert_eq!(
        target.looks(&copy).await["standing"],
        "Idle",
        "it may be asked anew"
    );
}
