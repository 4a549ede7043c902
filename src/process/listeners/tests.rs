use super::*;
use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
        )
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

fn anywhere() -> Listen {
    Listen::At("127.0.0.1:0".parse().unwrap())
}

#[tokio::test]
async fn probes_say_what_is_waited_for() {
    let health = Arc::new(Health::new(Duration::from_secs(1)));
    let serving = serve_probes(anywhere(), Arc::clone(&health)).unwrap();
    let address = serving.address.unwrap();
    assert!(ask(address, "/livez").await.starts_with("HTTP/1.1 200"));
    let answer = ask(address, "/readyz").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("starting"),
        "{answer}"
    );
    health.is_ready("start");
    assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(ask(address, "/nothing").await.starts_with("HTTP/1.1 404"));
    serving.stop().await.unwrap();
}

#[tokio::test]
async fn metrics_are_served_and_off_means_off() {
    let serving = serve_metrics(anywhere(), Arc::default(), None).unwrap();
    let answer = ask(serving.address.unwrap(), "/metrics").await;
    assert!(
        answer.contains("openmetrics-text") && answer.contains("holdfast_build_info"),
        "{answer}"
    );
    serving.stop().await.unwrap();
    assert_eq!(
        serve_metrics(Listen::Off, Arc::default(), None)
            .unwrap()
            .address,
        None
    );
}

#[tokio::test]
async fn an_address_in_use_is_a_sentence() {
    let first = serve_metrics(anywhere(), Arc::default(), None).unwrap();
    let taken = Listen::At(first.address.unwrap());
    let error = serve_metrics(taken, Arc::default(), None)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("cannot listen on the metrics' address"),
        "{error}"
    );
    first.stop().await.unwrap();
}

const IN_TIME: Duration = Duration::from_secs(60);

/// Few seats; whoever says nothing is waited for as long as the test takes.
const PATIENT: Limits = Limits {
    connections: 3,
    connections_of_one: 2,
    head: Duration::from_secs(3600),
    handshake: Duration::from_secs(3600),
};

/// Whoever says nothing is sent away soon.
const IMPATIENT: Limits = Limits {
    head: Duration::from_millis(20),
    handshake: Duration::from_millis(20),
    ..PATIENT
};

fn greeter(limits: Limits, tls: Option<RustlsConfig>) -> (Serving, SocketAddr) {
    let router = Router::new().route("/", get(|| std::future::ready("hello")));
    let serving = serve_within(limits, anywhere(), "the greeter's address", router, tls).unwrap();
    let address = serving.address.unwrap();
    (serving, address)
}

/// A connection from an address of this machine's own network.
async fn connect_from(client: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((client, 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

/// Returns when the server has closed the connection; it fails if it says anything first or keeps it.
async fn is_closed(mut stream: TcpStream) -> bool {
    let mut said = Vec::new();
    let read = tokio::time::timeout(IN_TIME, stream.read_to_end(&mut said)).await;
    read.is_ok() && said.is_empty()
}

async fn greet(stream: &mut TcpStream) -> String {
    let mut said = [0; 4096];
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let length = tokio::time::timeout(IN_TIME, stream.read(&mut said))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&said[..length]).into_owned()
}

#[tokio::test]
async fn a_client_that_says_nothing_is_sent_away() {
    let (_serving, address) = greeter(IMPATIENT, None);
    assert!(is_closed(TcpStream::connect(address).await.unwrap()).await);
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    let mut said = Vec::new();
    tokio::time::timeout(IN_TIME, slow.read_to_end(&mut said))
        .await
        .unwrap()
        .unwrap();
    assert!(!String::from_utf8_lossy(&said).contains("hello"));
}

#[tokio::test]
async fn a_handshake_that_does_not_begin_is_ended() {
    let (_serving, address) = greeter(IMPATIENT, Some(certificate()));
    assert!(is_closed(TcpStream::connect(address).await.unwrap()).await);
}

#[tokio::test]
async fn a_flood_from_one_client_leaves_seats_for_others() {
    for tls in [None, Some(certificate())] {
        let is_plain = tls.is_none();
        let (_serving, address) = greeter(PATIENT, tls);
        let mut flood = Vec::new();
        for _ in 0..PATIENT.connections_of_one {
            flood.push(connect_from([127, 0, 0, 2], address).await);
        }
        assert!(is_closed(connect_from([127, 0, 0, 2], address).await).await);
        if is_plain {
            let mut good = connect_from([127, 0, 0, 1], address).await;
            assert!(greet(&mut good).await.contains("hello"));
            let full = connect_from([127, 0, 0, 3], address).await;
            assert!(is_closed(full).await, "all seats are taken");
            assert!(greet(&mut good).await.contains("hello"), "kept alive");
        }
    }
}

#[tokio::test]
async fn only_http_1_is_spoken() {
    let (_serving, address) = greeter(PATIENT, None);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut said = Vec::new();
    // It may cut the connection with our bytes unread, which is an error of the read.
    let _cut_off = tokio::time::timeout(IN_TIME, stream.read_to_end(&mut said))
        .await
        .unwrap();
    let settings_of_http_2 = 4;
    assert_ne!(said.get(3), Some(&settings_of_http_2), "{said:?}");
}

#[tokio::test]
async fn an_end_that_nobody_asked_for_is_told_once() {
    let (mut serving, address) = greeter(PATIENT, None);
    assert!(
        serving.ended().now_or_never().is_none(),
        "it has not begun yet"
    );
    assert!(ask(address, "/").await.contains("hello"));
    assert!(serving.ended().now_or_never().is_none(), "it serves");
    serving.handle.shutdown();
    let error = serving.ended().await.to_string();
    assert!(error.contains("a listener ended"), "{error}");
    assert!(serving.ended().now_or_never().is_none(), "it was told");
    serving.stop().await.unwrap();
    let (mut cut_off, _) = greeter(PATIENT, None);
    cut_off.task.as_ref().unwrap().abort();
    assert!(cut_off.ended().await.to_string().contains("cancelled"));
    let mut off = serve_metrics(Listen::Off, Arc::default(), None).unwrap();
    assert!(off.ended().now_or_never().is_none(), "it is off");
    off.stop().await.unwrap();
}

#[test]
fn a_port_that_is_taken_on_ipv6_is_not_taken_on_ipv4_instead() {
    let Ok(first) = TcpListener::bind("[::1]:0") else {
        return; // without IPv6 there is nothing to fall back from
    };
    let every_address = SocketAddr::from(([0_u16; 8], first.local_addr().unwrap().port()));
    let error = bind(every_address).err().map(|error| error.kind());
    assert_eq!(error, Some(std::io::ErrorKind::AddrInUse));
}

#[test]
fn only_a_machine_without_ipv6_listens_on_ipv4_alone() {
    use std::io::{Error, ErrorKind};
    for (error, is_without) in [
        (Error::from_raw_os_error(97), true),
        (Error::from(ErrorKind::AddrNotAvailable), true),
        (Error::from(ErrorKind::AddrInUse), false),
        (Error::from(ErrorKind::PermissionDenied), false),
    ] {
        assert_eq!(is_without_ipv6(&error), is_without, "{error}");
    }
}

fn certificate() -> RustlsConfig {
    crate::install_crypto();
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key.unwrap())
        .unwrap();
    RustlsConfig::from_config(Arc::new(config))
}
