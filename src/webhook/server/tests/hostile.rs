//! Clients that send the wrong thing, too much, too slowly, or nothing at all; and a good one beside them.

use super::*;

#[tokio::test]
async fn what_is_no_review_gets_the_code_that_says_why() {
    let world = start(PATIENT);
    let json = "host: x\r\ncontent-type: application/json";
    let post = format!("POST /greets HTTP/1.1\r\n{json}");
    let head = |text: &str| text.to_owned();
    let cut = r#"{"apiVersion":"admission.k8s.io/v1","kind":"Adm"#;
    let question = String::from_utf8(question("u")).unwrap();
    let beta = question.replace("/v1\"", "/v1beta1\"");
    let next = question.replace("/v1\"", "/v7\"");
    let nobody = question.replace("\"u\"", "\"\"");
    for (head, body, code, says) in [
        (post.replace("POST", "GET"), "", 405, "POST"),
        (post.replace("greets", "nothing"), "{}", 404, "path"),
        (head("POST /greets HTTP/1.1\r\nhost: x"), "{}", 415, "json"),
        (post.replace("json", "yaml"), "{}", 415, "json"),
        (post.clone(), "garbage", 400, "no AdmissionReview"),
        (post.clone(), cut, 400, "EOF"),
        (post.clone(), "", 400, "EOF"),
        (post.clone(), &beta, 400, "v1beta1"),
        (post.clone(), &next, 400, "v7"),
        (post.clone(), &nobody, 400, "no uid"),
        (post.replace("greets", "panics"), "{}", 500, "fault"),
        (post.replace("greets", "panics-at-once"), "{}", 500, "fault"),
        (post.replace("greets", "at-once"), "garbage", 400, "no Adm"),
        (post.replace("greets", "at-once"), &question, 200, "hello u"),
        (post + "; charset=utf-8", &question, 200, "hello u"),
    ] {
        let answered = world.ask(&head, body.as_bytes()).await;
        assert_eq!(answered.code, code, "{head}: {answered:?}");
        assert!(answered.body.contains(says), "{head}: {answered:?}");
    }
    for (reason, count) in [
        ("bad_method", 1),
        ("unknown_path", 1),
        ("bad_type", 2),
        ("malformed", 7),
        ("panicked", 2),
    ] {
        let line = format!(r#"holdfast_webhook_refused_total{{reason="{reason}"}} {count}"#);
        assert!(
            world.counts(&line),
            "{line} is missing in {}",
            world.telemetry.text()
        );
    }
}

#[tokio::test]
async fn whoever_sends_a_body_to_the_wrong_place_sees_the_answer_and_keeps_the_connection() {
    let world = start(PATIENT);
    let mut client = world.connect().await;
    let nowhere = POST.replace("/greets", "/nothing");
    for _ in 0..50 {
        let answered = ask(&mut client, &nowhere, &vec![b' '; 300_000]).await;
        assert_eq!(answered.code, 404, "{answered:?}");
    }
    assert_eq!(ask(&mut client, POST, &question("u")).await.code, 200);
}

#[tokio::test]
async fn ten_megabytes_are_refused_and_the_next_client_is_served() {
    let world = start(PATIENT);
    let answered = world.ask(POST, &vec![b' '; 10_000_000]).await;
    assert_eq!(answered.code, 413, "{answered:?}");
    let mut largest = question("large");
    largest.resize(LIMITS.bounds.largest, b' ');
    let answered = world.ask(POST, &largest).await;
    assert_eq!((answered.code, &*answered.body), (200, "hello large"));
    assert!(world.counts(r#"holdfast_webhook_refused_total{reason="too_large"} 1"#));
}

#[tokio::test]
async fn garbage_instead_of_a_handshake_or_of_a_request_ends_the_connection() {
    let world = start(PATIENT);
    let mut plain = TcpStream::connect(world.server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    // It may cut the connection with our bytes unread, which is an error of the read.
    let _cut_off = tokio::time::timeout(IN_TIME, plain.read_to_end(&mut said))
        .await
        .unwrap();
    assert!(!String::from_utf8_lossy(&said).contains("HTTP"));
    world
        .until(r#"holdfast_webhook_refused_total{reason="handshake"} 1"#)
        .await;
    let mut client = world.connect().await;
    client.write_all(b"\x00\x01\x02\r\n\r\n").await.unwrap();
    client.flush().await.unwrap();
    let _answered_or_cut = tokio::time::timeout(IN_TIME, client.read_to_end(&mut said))
        .await
        .unwrap();
    world
        .until(r#"holdfast_webhook_refused_total{reason="bad_http"} 1"#)
        .await;
    assert_eq!(world.ask(POST, &question("u")).await.code, 200);
}

/// Whoever is slow is sent away soon.
const IMPATIENT: Limits = Limits {
    patience: Patience {
        handshake: Duration::from_millis(50),
        head: Duration::from_millis(50),
        ..PATIENT.patience
    },
    bounds: Bounds {
        time: Duration::from_millis(50),
        ..LIMITS.bounds
    },
    ..PATIENT
};

#[tokio::test]
async fn whoever_is_slow_with_the_handshake_or_the_head_is_sent_away_and_a_rest_is_not_slow() {
    for post in [POST, AT_ONCE] {
        let limits = Limits {
            patience: Patience {
                handshake: PATIENT.patience.handshake,
                ..IMPATIENT.patience
            },
            ..IMPATIENT
        };
        let world = start(limits);
        let (mut slow, mut resting) = (world.connect().await, world.connect().await);
        assert_eq!(ask(&mut resting, post, &question("a")).await.code, 200);
        slow.write_all(b"POST /greets HTTP/1.1\r\nhost: ")
            .await
            .unwrap();
        slow.flush().await.unwrap();
        let mut said = Vec::new();
        let _cut_off = tokio::time::timeout(IN_TIME, slow.read_to_end(&mut said))
            .await
            .unwrap();
        assert!(said.is_empty());
        assert!(world.counts(r#"holdfast_webhook_refused_total{reason="slow_head"} 1"#));
        assert_eq!(ask(&mut resting, post, &question("b")).await.code, 200);
        let world = start(IMPATIENT);
        let mut half_open = TcpStream::connect(world.server.address).await.unwrap();
        let _cut_off = tokio::time::timeout(IN_TIME, half_open.read_to_end(&mut said))
            .await
            .unwrap();
        assert!(said.is_empty());
        assert!(world.counts(r#"holdfast_webhook_refused_total{reason="slow_handshake"} 1"#));
    }
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_with_408() {
    for post in [POST, AT_ONCE] {
        let limits = Limits {
            patience: PATIENT.patience,
            ..IMPATIENT
        };
        let world = start(limits);
        let mut slow = world.connect().await;
        slow.write_all(format!("{post}\r\ncontent-length: 100\r\n\r\n{{").as_bytes())
            .await
            .unwrap();
        slow.flush().await.unwrap();
        let answered = tokio::time::timeout(IN_TIME, read(&mut slow))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answered.code, 408, "{answered:?}");
        assert!(world.counts(r#"holdfast_webhook_refused_total{reason="slow_body"} 1"#));
    }
}

#[tokio::test]
async fn more_reviews_than_are_worked_on_at_once_get_503_at_once() {
    let world = start(PATIENT);
    let waits = POST
        .replace("/greets", "/waits")
        .replace("timeout=2s", "timeout=30s");
    let question = question("u");
    let work = async {
        let clients = [world.connect().await, world.connect().await];
        let waiting = clients.map(|mut client| {
            let (waits, question) = (waits.clone(), question.clone());
            tokio::spawn(async move { ask(&mut client, &waits, &question).await.code })
        });
        for _ in &waiting {
            world.entered.acquire().await.unwrap().forget();
        }
        let shed = world.ask(POST, &question).await;
        assert_eq!((shed.code, &*shed.headers["retry-after"]), (503, "1"));
        let shed = world.ask(AT_ONCE, &question).await;
        assert_eq!((shed.code, &*shed.headers["retry-after"]), (503, "1"));
        assert!(world.counts("holdfast_webhook_shed_total 2"));
        world.go_on.add_permits(waiting.len());
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), 200);
        }
        assert_eq!(world.ask(POST, &question).await.code, 200);
    };
    tokio::time::timeout(IN_TIME, work).await.unwrap();
}

#[tokio::test]
async fn a_review_that_is_late_is_given_up_before_the_api_server_gives_up() {
    let world = start(PATIENT);
    let waits = POST
        .replace("/greets", "/waits")
        .replace("timeout=2s", "timeout=60ms");
    let answered = world.ask(&waits, &question("u")).await;
    assert_eq!(answered.code, 500, "{answered:?}");
    assert!(world.counts(r#"holdfast_webhook_refused_total{reason="late"} 1"#));
}

#[tokio::test]
async fn a_crowd_of_idle_connections_only_drives_out_itself() {
    for post in [POST, AT_ONCE] {
        let world = start(PATIENT);
        let mut good = world.connect().await;
        assert_eq!(ask(&mut good, post, &question("before")).await.code, 200);
        let most = PATIENT.patience.most;
        let mut crowd = Vec::new();
        for _ in 0..most * 3 {
            crowd.push(TcpStream::connect(world.server.address).await.unwrap());
        }
        let line = format!(
            r#"holdfast_webhook_refused_total{{reason="crowded_out"}} {}"#,
            most * 2 + 1
        );
        world.until(&line).await;
        assert_eq!(
            ask(&mut good, post, &question("during")).await.code,
            200,
            "its connection stays"
        );
        assert_eq!(
            world.ask(post, &question("new")).await.code,
            200,
            "from the same address"
        );
        assert!(world.counts(&format!("holdfast_webhook_connections {most}")));
    }
}
