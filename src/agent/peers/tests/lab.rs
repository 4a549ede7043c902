//! Node `n1` has a state, and node `n2` expects it. Between them is a wire that can be cut.

use crate::agent::api::{TargetPod, TargetStanding};
use crate::agent::peers::desk::{Desk, Desks, Expected, PeerStanding, Refusal, Released};
use crate::agent::peers::identity::Identity;
use crate::agent::peers::identity::tests::{agent, authority};
use crate::agent::peers::pace::Pace;
use crate::agent::peers::receiving::Receiving;
use crate::agent::peers::way::Way;
use crate::agent::peers::{server, service};
use crate::agent::store::Generation;
use crate::agent::store::manifest::Manifest;
use crate::testkit::folder::Folder;
use crate::webhook::authority::Authority;
use futures::future::{BoxFuture, ready};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) const OPERATION: &str = "op";
pub(super) const GENERATION: &str = "g";

/// Node `n2` expects the state of pod `u1` from node `n1`.
#[derive(Default)]
pub(super) struct Records {
    released: Mutex<Vec<String>>,
    asked: AtomicUsize,
    pub(super) digest: Mutex<Option<String>>,
    pub(super) at_most: Mutex<Option<u64>>,
    /// The order is withdrawn when it was looked at so often.
    pub(super) withdrawn_after: Mutex<Option<usize>>,
}

impl Desk for Records {
    fn admits<'a>(
        &'a self,
        operation: &'a str,
        from: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if self
            .withdrawn_after
            .lock()
            .unwrap()
            .is_some_and(|after| asked >= after)
        {
            let gone = Refusal::Unfit("it is not wanted any more".into());
            return Box::pin(ready(Err(gone)));
        }
        let known = operation == OPERATION && from == "n1";
        let unknown = Refusal::Unexpected("not here".into());
        Box::pin(ready(known.then_some(()).ok_or(unknown)))
    }

    fn expects<'a>(
        &'a self,
        _: &'a str,
        generation: &'a str,
    ) -> BoxFuture<'a, Result<Expected, Refusal>> {
        let expected = Expected {
            namespace: "ns".into(),
            uid: "u1".into(),
            digest: self.digest.lock().unwrap().clone(),
            at_most: *self.at_most.lock().unwrap(),
        };
        let other = Refusal::Unexpected(format!("generation {generation} is not expected"));
        let known = generation == GENERATION;
        Box::pin(ready(known.then_some(expected).ok_or(other)))
    }

    fn is_ready<'a>(&'a self, _: &'a str, uid: &'a str, attempt: u32) -> BoxFuture<'a, bool> {
        Box::pin(ready(uid == "u1" && attempt == 2))
    }

    fn release<'a>(
        &'a self,
        _: &'a str,
        uid: Option<&'a str>,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let Some(uid) = uid else {
            return Box::pin(ready(Err(Refusal::Unfit("a pod waits here".into()))));
        };
        self.released.lock().unwrap().push(uid.to_owned());
        Box::pin(ready(Ok(())))
    }

    fn revoke<'a>(
        &'a self,
        _: &'a str,
        uid: &'a str,
    ) -> BoxFuture<'a, Result<Option<TargetPod>, Refusal>> {
        let pod = TargetPod {
            uid: uid.to_owned(),
            standing: TargetStanding::Revoked,
            ..TargetPod::default()
        };
        Box::pin(ready(Ok((uid == "u1").then_some(pod))))
    }

    fn standing<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<PeerStanding, Refusal>> {
        let standing = PeerStanding {
            released: Released {
                pods: self.released.lock().unwrap().clone(),
                anybody: false,
            },
            ..PeerStanding::default()
        };
        Box::pin(ready(Ok(standing)))
    }
}

/// A wire: cuts a connection when so many bytes have gone to the target on it.
struct Wire {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    cut_after: Arc<AtomicU64>,
}

impl Wire {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let cut_after = Arc::new(AtomicU64::new(u64::MAX));
        let (count, cut) = (Arc::clone(&connections), Arc::clone(&cut_after));
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(carry(near, target, Arc::clone(&cut)));
            }
        });
        Self {
            address,
            connections,
            cut_after,
        }
    }
}

/// What is cut is cut once: the limit is used up.
async fn carry(near: TcpStream, target: SocketAddr, cut: Arc<AtomicU64>) {
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) =
        (near.into_split(), far.into_split());
    let there = async move {
        let (mut gone, mut bytes) = (0_u64, vec![0; 4096]);
        while let Ok(read) = near_in.read(&mut bytes).await {
            gone = gone.saturating_add(read as u64);
            let limit = cut.load(Ordering::Relaxed);
            if gone > limit {
                cut.store(u64::MAX, Ordering::Relaxed);
                return;
            }
            if read == 0 || far_out.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    };
    let back = async move { tokio::io::copy(&mut far_in, &mut near_out).await };
    tokio::select! {
        () = there => {}
        _ = back => {}
    }
}

pub(super) struct Lab {
    pub(super) folder: Folder,
    pub(super) authority: Authority,
    pub(super) source: Arc<Identity>,
    target: Arc<Identity>,
    pub(super) records: Arc<Records>,
    wire: Wire,
    address: SocketAddr,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
    root: PathBuf,
    /// In percent: what stays free of the target's disk from its next start on.
    pub(super) reserve: u64,
}

impl Lab {
    pub(super) async fn new() -> Self {
        let folder = Folder::new();
        let root = folder.path().join("target");
        Self::at(folder, root).await
    }

    /// The target keeps its states there.
    pub(super) async fn at(folder: Folder, root: PathBuf) -> Self {
        let authority = authority();
        let (source, target) = (
            agent("n1", &authority, &[&authority]),
            agent("n2", &authority, &[&authority]),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut lab = Self {
            folder,
            authority,
            source,
            target,
            records: Arc::default(),
            wire: Wire::to(address).await,
            address,
            stop: CancellationToken::new(),
            serving: None,
            root,
            reserve: 0,
        };
        lab.serve(listener);
        lab
    }

    fn serve(&mut self, listener: TcpListener) {
        let desk: Arc<dyn Desk> = Arc::<Records>::clone(&self.records);
        let receiving = Arc::new(Receiving::new(self.root.clone(), self.reserve));
        let service = service::shared(Desks::new(vec![desk]), receiving);
        let (target, stop) = (Arc::clone(&self.target), self.stop.clone());
        self.serving = Some(tokio::spawn(server::serve(listener, target, service, stop)));
    }

    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(serving) = self.serving.take() {
            serving.await.unwrap();
        }
    }

    pub(super) async fn start_again(&mut self) {
        self.stop().await;
        self.stop = CancellationToken::new();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.serve(socket.listen(16).unwrap());
    }

    pub(super) fn way(&self) -> Way {
        self.way_of(&self.source)
    }

    pub(super) fn way_of(&self, identity: &Arc<Identity>) -> Way {
        Way::new(
            Arc::clone(identity),
            Arc::default(),
            ("n2", self.wire.address),
        )
    }

    pub(super) fn way_to(&self, node: &str) -> Way {
        Way::new(
            Arc::clone(&self.source),
            Arc::new(Pace::new(0)),
            (node, self.wire.address),
        )
    }

    /// The wire's other end.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn connections(&self) -> usize {
        self.wire.connections.load(Ordering::Relaxed)
    }

    pub(super) fn asked(&self) -> usize {
        self.records.asked.load(Ordering::Relaxed)
    }

    /// The next connection is cut when so many bytes have gone.
    pub(super) fn cut_after(&self, bytes: u64) {
        self.wire.cut_after.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn was_cut(&self) -> bool {
        self.wire.cut_after.load(Ordering::Relaxed) == u64::MAX
    }

    pub(super) async fn target_doubts(&self) {
        self.target.doubted().await;
    }

    pub(super) fn target_believes(&self, next: &Authority) {
        let both = [&self.authority, next];
        let renewed = agent("n2", &self.authority, &both);
        self.target.set_as(&renewed);
    }

    /// Below where the target keeps its states.
    pub(super) fn target(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(super) fn at_target(&self) -> Generation {
        Generation::of(&self.root, ("ns", "u1"), GENERATION).unwrap()
    }

    /// The state on node `n1`: some files, one larger than a piece, one empty.
    pub(super) fn sealed(&self) -> Generation {
        let root = self.folder.path().join("source");
        let generation = Generation::of(&root, ("ns", "u1"), GENERATION).unwrap();
        if generation.sealed().is_ok() {
            return generation;
        }
        generation.begin().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = generation.part().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let noise = |count: u32| -> Vec<u8> {
            let words = (0..count).map(|n| n.wrapping_mul(2_654_435_761).rotate_left(n % 31));
            words.flat_map(u32::to_le_bytes).collect()
        };
        put("containers/web/images/pages-1.img", &noise(400_000));
        put("containers/web/images/core-1.img", b"core");
        put("containers/web/images/empty.img", b"");
        put("volumes/cache.tar", &vec![0; 3 << 20]);
        put("criu.conf", b"tcp-close\n");
        let manifest = Manifest {
            operation: OPERATION.into(),
            ..Manifest::of_web()
        };
        generation.cut(&manifest).unwrap();
        generation.seal(manifest, None).unwrap();
        generation
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
