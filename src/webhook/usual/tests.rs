use super::*;
use crate::process::telemetry::Telemetry;
use crate::webhook::body::Bounds;
use crate::webhook::connections::{Connections, Patience, Taken};
use crate::webhook::endpoint::{Endpoint, Reply};
use crate::webhook::review::Malformed;
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

mod smuggled;

const LARGEST: usize = 100;

/// Answers what begins with `now` at once, with the same again.
struct Echo;

impl Endpoint for Echo {
    fn path(&self) -> &'static str {
        "/echo"
    }

    fn name(&self) -> &'static str {
        "echo"
    }

    fn at_once(&self, body: &[u8]) -> Option<Result<Reply, Malformed>> {
        assert_ne!(body, b"panic");
        if body == b"nonsense" {
            return Some(Err(Malformed::new("no")));
        }
        body.starts_with(b"now").then(|| {
            Ok(Reply {
                body: body.to_vec(),
                verdict: "said",
            })
        })
    }

    fn review<'a>(&'a self, _: &'a [u8], _: Instant) -> BoxFuture<'a, Result<Reply, Malformed>> {
        Box::pin(std::future::pending())
    }
}

struct World {
    exchange: Arc<Exchange>,
    taken: Taken,
    telemetry: Telemetry,
}

fn world() -> World {
    let telemetry = Telemetry::default();
    let an_hour = Duration::from_secs(3600);
    let bounds = Bounds {
        largest: LARGEST,
        thrown_away: LARGEST,
        small: LARGEST,
        allowance: LARGEST,
        time: an_hour,
    };
    let patience = Patience {
        most: 1,
        handshake: an_hour,
        head: an_hour,
        rest: an_hour,
        age: an_hour,
    };
    let metrics = telemetry.webhooks.clone();
    World {
        exchange: Arc::new(Exchange::new(
            vec![Arc::new(Echo)],
            bounds,
            1,
            metrics.clone(),
        )),
        taken: Arc::new(Connections::new(patience, metrics))
            .take(Instant::now())
            .unwrap(),
        telemetry,
    }
}

impl World {
    async fn serve(&self, stream: &mut DuplexStream) -> Option<BytesMut> {
        let usual = Usual {
            stream,
            exchange: &self.exchange,
            seat: &self.taken.seat(),
        };
        usual.serve().await.unwrap()
    }

    /// What is answered to these pieces before the client goes, and what is left to hyper.
    async fn answers(&self, pieces: &[&[u8]]) -> (String, Option<BytesMut>) {
        let (mut client, mut server) = duplex(64 * 1024);
        let asking = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
        };
        let serving = async {
            let mut left = self.serve(&mut server).await;
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).await.unwrap();
            if let Some(left) = &mut left {
                left.extend_from_slice(&rest);
            }
            drop(server);
            left
        };
        let ((), left) = tokio::join!(asking, serving);
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        (text, left)
    }

    /// What hyper answers.
    async fn of_hyper(&self, request: &[u8]) -> String {
        let (mut client, server) = duplex(64 * 1024);
        client.write_all(request).await.unwrap();
        client.shutdown().await.unwrap();
        let (exchange, seat) = (Arc::clone(&self.exchange), self.taken.seat());
        let service = service_fn(move |request| {
            let (exchange, seat) = (Arc::clone(&exchange), Arc::clone(&seat));
            async move { Ok::<_, Infallible>(exchange.answer(&seat, request).await) }
        });
        let mut builder = http1::Builder::new();
        builder.half_close(true);
        let serving = builder.serve_connection(TokioIo::new(server), service);
        // A request that is none ends badly, and is answered before.
        let _ended = serving.await;
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    }
}

fn request(body: &str) -> String {
    format!(
        "POST /echo?timeout=2s HTTP/1.1\r\nHost: x\r\nUser-Agent: kube-apiserver-admission\r\nContent-Length: {}\r\n\
         Accept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n{body}",
        body.len()
    )
}

/// Its lines in order, without the date.
fn undated(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text
        .split("\r\n")
        .filter(|line| !line.starts_with("date: "))
        .collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn what_is_answered_is_what_hyper_answers() {
    let world = world();
    for is_last in [false, true] {
        if is_last {
            world.exchange.leaves();
        }
        let asked = request("now this");
        let (answered, left) = world.answers(&[asked.as_bytes()]).await;
        assert_eq!(left, None);
        assert!(answered.ends_with("\r\n\r\nnow this"), "{answered}");
        assert_eq!(answered.contains("connection: close"), is_last);
        let of_hyper = world.of_hyper(asked.as_bytes()).await;
        assert_eq!(undated(&answered), undated(&of_hyper));
        let date = |text: &str| {
            let dated = text
                .split("\r\n")
                .find_map(|line| line.strip_prefix("date: "));
            jiff::fmt::rfc2822::parse(dated.unwrap())
                .unwrap()
                .timestamp()
        };
        let apart = date(&of_hyper).duration_since(date(&answered));
        assert!((0..60).contains(&apart.as_secs()), "{apart}");
    }
    let counted = r#"holdfast_admission_total{webhook="echo",verdict="said"} 4"#;
    assert!(world.telemetry.text().contains(counted));
}

#[tokio::test]
async fn a_request_may_be_cut_anywhere_and_several_may_come_at_once() {
    let world = world();
    let both = format!("{}{}", request("now one"), request("now two"));
    for cut in 1..both.len() {
        let (first, second) = both.as_bytes().split_at(cut);
        let (answered, left) = world.answers(&[first, second]).await;
        assert_eq!(left, None);
        let said: Vec<_> = answered.matches("now ").collect();
        assert_eq!(said.len(), 2, "cut at {cut}: {answered}");
        assert!(answered.find("now one") < answered.find("now two"));
    }
    for cut in 1..request("now").len() {
        let expected = if request("now")[..cut].contains("\r\n\r\n") {
            Found::Body("/echo", request("now").len())
        } else {
            Found::Head
        };
        assert_eq!(find(&request("now").as_bytes()[..cut], LARGEST), expected);
    }
}

#[tokio::test]
async fn after_the_last_answer_nothing_is_read() {
    let world = world();
    world.exchange.leaves();
    let both = format!("{}{}", request("now one"), request("now two"));
    let (answered, left) = world.answers(&[both.as_bytes()]).await;
    assert!(answered.contains("now one") && !answered.contains("now two"));
    assert_eq!(left, None);
}

#[tokio::test]
async fn a_connection_rests_when_its_answer_goes_out_whether_or_not_it_is_read() {
    let world = world();
    let asked = request("now");
    // It holds an answer, and not two.
    let (mut client, mut server) = duplex(asked.len());
    let seat = world.taken.seat();
    let mut serving = pin!(world.serve(&mut server));
    for _ in 0..2 {
        client.write_all(asked.as_bytes()).await.unwrap();
        assert!(futures::poll!(&mut serving).is_pending());
        assert_eq!(seat.state().0, Doing::Review);
        assert!(futures::poll!(&mut serving).is_pending());
        assert_eq!(seat.state().0, Doing::Rest);
    }
}

#[tokio::test]
async fn whatever_else_comes_is_left_to_hyper_whole() {
    let world = world();
    let usual = request("now");
    let more = |header: &str| usual.replace("Host: x", header);
    let long = "x".repeat(LARGEST + 1);
    for other in [
        usual.replace("POST", "GET"),
        usual.replace("HTTP/1.1", "HTTP/1.0"),
        usual.replace("/echo", "/other"),
        usual.replace("/echo", "http://x/echo"),
        usual.replace("?timeout", "#timeout"),
        usual.replace("?timeout", "?\""),
        usual.replace("?timeout", "?<"),
        usual.replace("?timeout", "?>"),
        usual.replace("?timeout", "?\u{e9}"),
        usual.replace(
            "application/json\r\nAccept-E",
            "application/json;\r\nAccept-E",
        ),
        usual.replace("Content-Type", "Content-Typo"),
        usual.replace("Length: 3", "Length: +3"),
        usual.replace("Length: 3", "Length: 3, 3"),
        usual.replace("Length: 3", "Length: 99999999999999999999"),
        usual.replace("Content-Length", "Content-Size"),
        more("Content-Length: 3"),
        more("Content-Type: application/json"),
        more("Transfer-Encoding: chunked"),
        more("Expect: 100-continue"),
        more("connection: close"),
        more("UPGRADE: h2c"),
        more("no colon"),
        more(&"A: b\r\n".repeat(MOST_HEADERS)),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}".into(),
        request(&long),
        request("nonsense"),
        request("panic"),
        request("later"),
        format!("POST /{} HTTP/1.1\r\n", "x".repeat(LONGEST_HEAD)),
    ] {
        let (answered, left) = world.answers(&[other.as_bytes()]).await;
        assert_eq!(
            (&*answered, left.as_deref()),
            ("", Some(other.as_bytes())),
            "{other}"
        );
        // The same behind a usual one.
        let both = format!("{usual}{other}");
        let (answered, left) = world.answers(&[both.as_bytes()]).await;
        assert!(answered.ends_with("now"), "{answered}");
        assert_eq!(left.as_deref(), Some(other.as_bytes()));
    }
    assert!(
        !world
            .telemetry
            .text()
            .contains("holdfast_webhook_refused_total{")
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_left_to_hyper() {
    let world = world();
    let (mut client, mut server) = duplex(1000);
    let asked = request("now");
    let begin = &asked.as_bytes()[..asked.len() - 1];
    client.write_all(begin).await.unwrap();
    let left = world.serve(&mut server).await;
    assert_eq!(left.as_deref(), Some(begin));
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_is_left_to_hyper() {
    let world = world();
    let asked = request("now");
    for cut in [1, 30, asked.len() - 1] {
        let begin = &asked.as_bytes()[..cut];
        let (answered, left) = world.answers(&[begin]).await;
        assert_eq!((&*answered, left.as_deref()), ("", Some(begin)), "{cut}");
    }
    let (answered, left) = world.answers(&[]).await;
    assert_eq!((&*answered, left), ("", None));
}

#[tokio::test(start_paused = true)]
async fn a_body_is_waited_for_once_however_many_pieces_it_comes_in() {
    let world = world();
    let (mut client, mut server) = duplex(1000);
    let asked = request("now, in many pieces");
    let begin = asked.len() - "in many pieces".len();
    let sent = asked.clone();
    let asking = async move {
        client.write_all(&sent.as_bytes()[..begin]).await.unwrap();
        for piece in sent.as_bytes()[begin..].chunks(1) {
            tokio::time::sleep(SOON / 3).await;
            client.write_all(piece).await.unwrap();
        }
        drop(client);
    };
    let ((), left) = tokio::join!(asking, world.serve(&mut server));
    let left = left.unwrap();
    assert!(asked.as_bytes().starts_with(&left));
    assert!(begin < left.len() && left.len() < asked.len(), "{left:?}");
}

#[test]
fn a_body_that_nobody_wants_is_not_waited_for() {
    let world = world();
    let (mut client, mut server) = duplex(1000);
    let asked = request("now").replace("/echo", "/other");
    let begin = &asked.as_bytes()[..asked.len() - 1];
    let written = client.write_all(begin).now_or_never();
    written.unwrap().unwrap();
    let left = world.serve(&mut server).now_or_never().unwrap();
    assert_eq!(left.as_deref(), Some(begin));
}

#[tokio::test]
async fn what_was_declined_is_no_review_that_is_under_way() {
    for body in ["nonsense", "panic", "later"] {
        let world = world();
        let (answered, left) = world.answers(&[request(body).as_bytes()]).await;
        assert!(answered.is_empty() && left.is_some(), "{body}");
        assert_eq!(world.taken.seat().state().0, Doing::Head, "{body}");
    }
}
