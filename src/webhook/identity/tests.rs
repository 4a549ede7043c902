use super::*;
use crate::process::telemetry::Telemetry;
use crate::testkit::api_server::ApiServer;
use crate::webhook::authority::service_names;
use std::path::Path;

const SECRET: &str = "/api/v1/namespaces/apps/secrets/hooks-webhook-ca";

const LIFETIMES: Lifetimes = Lifetimes {
    authority: Duration::from_secs(9000),
    leaf: Duration::from_secs(90),
    grace: Duration::from_secs(60),
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds.saturating_add(1_800_000_000)).unwrap()
}

struct Replica {
    identity: Identity,
    health: Arc<Health>,
    telemetry: Telemetry,
}

impl Replica {
    fn new(server: Option<&ApiServer>, directory: Option<&Path>) -> Self {
        let (health, telemetry) = (
            Arc::new(Health::new(Duration::from_secs(60))),
            Telemetry::default(),
        );
        health.is_ready("start");
        let own = server.map(|server| {
            let installation =
                Installation::new(server.client(), server.carrier(), "apps", "hooks");
            (
                Store::new(server.client(), "apps", "hooks", LIFETIMES.authority),
                installation,
            )
        });
        let identity = Identity::new(Setup {
            names: service_names("hooks", "apps"),
            lifetimes: LIFETIMES,
            directory: directory.map(Path::to_owned),
            own,
            clients: None,
            health: Arc::clone(&health),
            metrics: telemetry.webhooks.clone(),
        });
        Self {
            identity,
            health,
            telemetry,
        }
    }

    /// Looks once, when the Secret is due to be read again.
    async fn look(&mut self, seconds: i64) {
        tokio::time::advance(READ_AGAIN).await;
        self.identity.look(at(seconds)).await;
    }

    /// The served leaf.
    fn leaf(&self) -> Option<Vec<u8>> {
        let served = self.identity.served.get()?;
        Some(served.cert[0].to_vec())
    }

    fn issuer(&self) -> String {
        self.identity.leaf.as_ref().unwrap().1.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_share_an_authority_and_each_has_a_leaf_of_its_own() {
    let server = ApiServer::default();
    let mut replicas = [
        Replica::new(Some(&server), None),
        Replica::new(Some(&server), None),
    ];
    assert!(replicas[0].health.ready().is_err(), "no certificate yet");
    for replica in &mut replicas {
        replica.look(0).await;
        assert_eq!(replica.health.ready(), Ok(()));
    }
    let [one, two] = &replicas;
    assert_eq!(one.issuer(), two.issuer());
    assert_ne!(one.leaf(), two.leaf());
    assert!(one.telemetry.text().contains(&format!(
        "certificate=\"leaf\"}} {}",
        at(LIFETIMES.leaf.as_secs().cast_signed()).as_second()
    )));
}

#[tokio::test(start_paused = true)]
async fn a_leaf_is_renewed_in_time_also_while_the_api_server_is_away() {
    let server = ApiServer::default();
    let mut replica = Replica::new(Some(&server), None);
    replica.look(0).await;
    let first = replica.leaf();
    replica.look(59).await;
    assert_eq!(replica.leaf(), first);
    server.forbid("GET");
    replica.look(60).await;
    let second = replica.leaf();
    assert_ne!(second, first);
    // The host was suspended: nothing looked for longer than the leaf lives.
    replica.look(600).await;
    assert_ne!(replica.leaf(), second);
    assert_eq!(replica.health.ready(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_lives_for_seconds_does_not_wait_for_an_api_server_that_does_not_answer() {
    let server = ApiServer::default();
    let mut replica = Replica::new(Some(&server), None);
    replica.identity.setup.lifetimes.leaf = Duration::from_secs(3);
    replica.look(0).await;
    let first = replica.leaf();
    server.cut_off(true);
    let began = Instant::now();
    replica.look(2).await;
    assert_ne!(replica.leaf(), first);
    let waited = began.elapsed().saturating_sub(READ_AGAIN);
    assert!(waited < Duration::from_secs(1), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_authority_signs_at_once_and_one_that_is_to_come_does_not() {
    let server = ApiServer::default();
    let mut replica = Replica::new(Some(&server), None);
    replica.look(0).await;
    let (first, issuer) = (replica.leaf(), replica.issuer());
    let store = Store::new(server.client(), "apps", "hooks", LIFETIMES.authority);
    let kept = store.find().await.unwrap().unwrap();
    let next = kept
        .authorities
        .clone()
        .prepared(store.create_authority(at(1)).unwrap());
    let kept = store.change(&kept, next.clone()).await.unwrap();
    replica.look(2).await;
    assert_eq!(replica.leaf(), first);
    store.change(&kept, next.promoted(at(3))).await.unwrap();
    replica.look(4).await;
    assert_ne!(replica.issuer(), issuer);
    assert_ne!(replica.leaf(), first);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_somebody_deletes_comes_back_as_it_was() {
    let server = ApiServer::default();
    let mut replica = Replica::new(Some(&server), None);
    replica.look(0).await;
    let (first, kept) = (replica.leaf(), server.stored(SECRET).unwrap());
    server.remove(SECRET);
    replica.look(3).await;
    assert_eq!(server.stored(SECRET).unwrap()["data"], kept["data"]);
    assert_eq!(replica.leaf(), first);
}

#[tokio::test(start_paused = true)]
async fn without_an_api_server_a_replica_is_not_ready_and_says_why() {
    let server = ApiServer::default();
    server.forbid("GET /api/v1/namespaces/apps/secrets");
    let mut replica = Replica::new(Some(&server), None);
    replica.look(0).await;
    assert_eq!(replica.leaf(), None);
    let why = replica.health.ready().unwrap_err();
    assert!(why.contains("no certificate for the webhooks"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn without_an_installation_the_authority_lives_in_the_process() {
    let mut replica = Replica::new(None, None);
    replica.look(0).await;
    let issuer = replica.issuer();
    replica.look(5000).await;
    assert_eq!(replica.issuer(), issuer);
    replica.look(6001).await;
    assert_ne!(replica.issuer(), issuer, "two thirds of its life are over");
    assert_eq!(replica.health.ready(), Ok(()));
}

/// A directory of its own, gone with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("holdfast-identity-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, authority: &Authority, seconds: i64) {
        let names = service_names("hooks", "apps");
        let leaf = authority
            .issue(&names, LIFETIMES.leaf, at(seconds))
            .unwrap();
        std::fs::write(self.0.join("tls.crt"), &leaf.certificate).unwrap();
        std::fs::write(self.0.join("tls.key"), &leaf.key).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_comes_into_the_directory_takes_the_place_of_our_own() {
    let (server, directory) = (ApiServer::default(), Directory::new("comes"));
    let mut replica = Replica::new(Some(&server), Some(&directory.0));
    replica.look(0).await;
    let own = replica.leaf();
    assert!(own.is_some() && replica.identity.found().borrow().is_none());
    let theirs = Authority::create("theirs", LIFETIMES.authority, at(0)).unwrap();
    directory.write(&theirs, 0);
    replica.look(1).await;
    let first = replica.leaf();
    assert_ne!(first, own);
    let found = replica.identity.found().borrow().clone().unwrap();
    assert_eq!(found.chain[0].to_vec(), first.clone().unwrap());
    directory.write(&theirs, 50);
    replica.look(51).await;
    assert_ne!(replica.leaf(), first);
    assert_eq!(replica.health.ready(), Ok(()));
    replica.look(500).await;
    let why = replica.health.ready().unwrap_err();
    assert!(why.contains("is valid from"), "it is over: {why}");
}
