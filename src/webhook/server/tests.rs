//! Against real sockets, as a client of the worst and of the best kind.

use super::*;
use crate::process::flags::OldestTls;
use crate::process::telemetry::Telemetry;
use crate::webhook::clients::Checked;
use crate::webhook::endpoint::Reply;
use crate::webhook::handshake::{Served, config};
use crate::webhook::review::{self, Malformed};
use futures::future::BoxFuture;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use std::collections::HashMap;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

mod hostile;
mod identity;
mod turns;

const IN_TIME: Duration = Duration::from_secs(60);
const NAME: &str = "holdfast.holdfast-system.svc";

/// Says yes; waits, panics or dawdles where the path says so.
struct Greeter {
    path: &'static str,
    entered: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
}

fn greeting(body: &[u8]) -> Result<Reply, Malformed> {
    let request = review::read::<serde_json::Value>(body)?;
    Ok(Reply {
        body: format!("hello {}", request.uid).into_bytes(),
        verdict: "greeted",
    })
}

impl Endpoint for Greeter {
    fn path(&self) -> &'static str {
        self.path
    }

    fn name(&self) -> &'static str {
        "greeter"
    }

    fn at_once(&self, body: &[u8]) -> Option<Result<Reply, Malformed>> {
        assert_ne!(self.path, "/panics-at-once");
        (self.path == "/at-once").then(|| greeting(body))
    }

    fn review<'a>(
        &'a self,
        body: &'a [u8],
        _deadline: Instant,
    ) -> BoxFuture<'a, Result<Reply, Malformed>> {
        assert_ne!(self.path, "/panics");
        Box::pin(async move {
            if self.path == "/waits" {
                self.entered.add_permits(1);
                self.go_on.acquire().await.unwrap().forget();
            }
            greeting(body)
        })
    }
}

/// An authority for tests, and what it signs.
struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        Self(rcgen::CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    fn sign(&self, common_name: &str, names: &[&str]) -> (rcgen::Certificate, rcgen::KeyPair) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, common_name);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn issue(
        &self,
        common_name: &str,
        names: &[&str],
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let (issued, key) = self.sign(common_name, names);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![issued.der().clone()], key)
    }

    fn serves(&self) -> Arc<Served> {
        let served = Arc::new(Served::default());
        served.set(self.key());
        served
    }

    fn key(&self) -> Arc<CertifiedKey> {
        let (chain, key) = self.issue("server", &[NAME]);
        let provider = rustls::crypto::ring::default_provider();
        Arc::new(CertifiedKey::from_der(chain, key, &provider).unwrap())
    }
}

/// A server, and what it needs to be talked to.
struct World {
    authority: Authority,
    served: Arc<Served>,
    server: Webhooks,
    telemetry: Telemetry,
    stop: CancellationToken,
    entered: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
}

/// Limits that no test waits for.
const PATIENT: Limits = Limits {
    patience: Patience {
        most: 64,
        handshake: Duration::from_secs(3600),
        head: Duration::from_secs(3600),
        rest: Duration::from_secs(3600),
        age: Duration::from_secs(3600),
    },
    bounds: Bounds {
        time: Duration::from_secs(3600),
        ..LIMITS.bounds
    },
    most_reviews: 2,
    sweep: Duration::from_millis(10),
};

fn start(limits: Limits) -> World {
    start_with(limits, OldestTls::V1_3, None)
}

fn start_with(limits: Limits, oldest: OldestTls, clients: Option<Checked>) -> World {
    crate::install_crypto();
    let authority = Authority::new("server's");
    let certificate = authority.serves();
    let [entered, go_on] = [0, 0].map(|none| Arc::new(Semaphore::new(none)));
    let paths = [
        "/greets",
        "/waits",
        "/panics",
        "/at-once",
        "/panics-at-once",
    ];
    let endpoints = paths.map(|path| {
        let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
        Arc::new(Greeter {
            path,
            entered,
            go_on,
        }) as Arc<dyn Endpoint>
    });
    let (telemetry, stop) = (Telemetry::default(), CancellationToken::new());
    let setup = Setup {
        endpoints: endpoints.into(),
        tls: config(oldest, Arc::clone(&certificate), clients.map(Arc::new)).unwrap(),
        metrics: telemetry.webhooks.clone(),
        stop: stop.clone(),
    };
    let anywhere = Listen::At("127.0.0.1:0".parse().unwrap());
    let server = serve_within(limits, anywhere, setup).unwrap().unwrap();
    World {
        authority,
        served: certificate,
        server,
        telemetry,
        stop,
        entered,
        go_on,
    }
}

/// A client's end of a connection.
type Client = BufReader<tokio_rustls::client::TlsStream<TcpStream>>;

/// What was answered.
#[derive(Debug)]
struct Answered {
    code: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl World {
    fn client_config(&self) -> ClientConfig {
        ClientConfig::builder()
            .with_root_certificates(self.authority.roots())
            .with_no_client_auth()
    }

    async fn connect(&self) -> Client {
        self.try_connect(self.client_config()).await.unwrap()
    }

    async fn try_connect(&self, config: ClientConfig) -> io::Result<Client> {
        let stream = TcpStream::connect(self.server.address).await?;
        let name = ServerName::try_from(NAME).unwrap();
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream);
        Ok(BufReader::new(shaken.await?))
    }

    async fn ask(&self, head: &str, body: &[u8]) -> Answered {
        let mut client = self.connect().await;
        ask(&mut client, head, body).await
    }

    fn counts(&self, line: &str) -> bool {
        self.telemetry.text().contains(line)
    }

    /// Waits for a line of the metrics.
    async fn until(&self, line: &str) {
        let seen = async {
            while !self.counts(line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let seen = tokio::time::timeout(IN_TIME, seen).await;
        seen.unwrap_or_else(|_| panic!("no {line} in {}", self.telemetry.text()));
    }
}

fn question(uid: &str) -> Vec<u8> {
    format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"{uid}"}}}}"#).into_bytes()
}

const POST: &str = "POST /greets?timeout=2s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json";

/// The same, answered without hyper.
const AT_ONCE: &str =
    "POST /at-once?timeout=2s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json";

async fn ask(client: &mut Client, head: &str, body: &[u8]) -> Answered {
    try_ask(client, head, body).await.unwrap()
}

async fn try_ask(client: &mut Client, head: &str, body: &[u8]) -> io::Result<Answered> {
    let head = format!("{head}\r\ncontent-length: {}\r\n\r\n", body.len());
    client.write_all(head.as_bytes()).await?;
    client.write_all(body).await?;
    client.flush().await?;
    tokio::time::timeout(IN_TIME, read(client)).await?
}

async fn read(client: &mut Client) -> io::Result<Answered> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        client.read_line(&mut line).await?;
        match line.trim_end() {
            "" if lines.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let headers: HashMap<_, _> = lines[1..]
        .iter()
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    client.read_exact(&mut body).await?;
    Ok(Answered {
        code: lines[0].split(' ').nth(1).unwrap().parse().unwrap(),
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}

#[tokio::test]
async fn a_review_is_answered_and_counted_on_a_connection_that_stays() {
    let world = start(PATIENT);
    let mut client = world.connect().await;
    for uid in ["one", "two"] {
        let answered = ask(&mut client, POST, &question(uid)).await;
        assert_eq!(
            (answered.code, &*answered.body),
            (200, &*format!("hello {uid}"))
        );
        assert_eq!(answered.headers["content-type"], "application/json");
        assert!(!answered.headers.contains_key("connection"));
    }
    assert!(world.counts(r#"holdfast_admission_total{webhook="greeter",verdict="greeted"} 2"#));
    assert!(world.counts("holdfast_webhook_connections 1"));
    drop(client);
    world.until("holdfast_webhook_connections 0").await;
    world.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_served_from_the_next_connection_on() {
    let world = start(PATIENT);
    let mut before = world.connect().await;
    let first = before.get_ref().get_ref().1.peer_certificates().unwrap()[0].clone();
    world.served.set(world.authority.key());
    let after = world.connect().await;
    assert_ne!(
        after.get_ref().get_ref().1.peer_certificates().unwrap()[0],
        first
    );
    assert_eq!(ask(&mut before, POST, &question("still")).await.code, 200);
}

#[tokio::test]
async fn an_end_that_nobody_asked_for_is_told_once() {
    let mut world = start(PATIENT);
    world.server.task.as_ref().unwrap().abort();
    let error = world.server.ended().await.to_string();
    assert!(error.contains("the webhook server ended"), "{error}");
    world.server.stop().await.unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_a_sentence_and_off_means_off() {
    let world = start(PATIENT);
    let setup = || Setup {
        endpoints: Vec::new(),
        tls: config(OldestTls::V1_3, Arc::default(), None).unwrap(),
        metrics: world.telemetry.webhooks.clone(),
        stop: CancellationToken::new(),
    };
    let taken = serve(Listen::At(world.server.address), setup());
    let error = taken.err().unwrap().to_string();
    assert!(
        error.starts_with("cannot listen on the webhooks' address"),
        "{error}"
    );
    assert!(serve(Listen::Off, setup()).unwrap().is_none());
}
