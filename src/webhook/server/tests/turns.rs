//! Requests that are answered at once, and such as are left to hyper: the same holds for both.

use super::*;

#[tokio::test]
async fn usual_and_other_requests_take_turns_on_a_connection() {
    let world = start(PATIENT);
    let mut client = world.connect().await;
    for uid in ["one", "two"] {
        let answered = ask(&mut client, AT_ONCE, &question(uid)).await;
        assert_eq!(
            (answered.code, answered.body),
            (200, format!("hello {uid}"))
        );
    }
    for (head, code) in [
        (&*AT_ONCE.replace("POST", "PUT"), 405),
        (AT_ONCE, 200),
        (POST, 200),
        (&*AT_ONCE.replace("/json", "/yaml"), 415),
        (AT_ONCE, 200),
    ] {
        let answered = ask(&mut client, head, &question("three")).await;
        assert_eq!(answered.code, code, "{head}");
    }
    assert!(world.counts(r#"holdfast_admission_total{webhook="greeter",verdict="greeted"} 5"#));
}

/// Waits until answers say that the server leaves: the signal has to have arrived.
async fn until_it_leaves(world: &World, post: &str) {
    let leaving = async {
        loop {
            let mut client = world.connect().await;
            let answered = ask(&mut client, post, &question("new")).await;
            assert_eq!(answered.code, 200);
            if let Some(said) = answered.headers.get("connection") {
                assert_eq!(said, "close");
                assert!(read(&mut client).await.is_err(), "and it is closed");
                return;
            }
        }
    };
    tokio::time::timeout(IN_TIME, leaving).await.unwrap();
}

#[tokio::test]
async fn a_server_that_leaves_says_so_in_each_answer_and_finishes_what_is_under_way() {
    for post in [POST, AT_ONCE] {
        let world = start(PATIENT);
        let mut kept = world.connect().await;
        assert_eq!(ask(&mut kept, post, &question("before")).await.code, 200);
        world.stop.cancel();
        until_it_leaves(&world, post).await;
        let answered = ask(&mut kept, post, &question("kept")).await;
        assert_eq!(
            (answered.code, &*answered.headers["connection"]),
            (200, "close")
        );
        assert!(read(&mut kept).await.is_err(), "and it is closed");
        let mut busy = world.connect().await;
        let mut resting = world.connect().await;
        let waits = POST.replace("/greets", "/waits");
        let (entered, go_on) = (Arc::clone(&world.entered), Arc::clone(&world.go_on));
        let stopping = async {
            entered.acquire().await.unwrap().forget();
            let stopped = tokio::spawn(world.server.stop());
            assert!(
                read(&mut resting).await.is_err(),
                "nothing is under way there"
            );
            go_on.add_permits(1);
            stopped.await.unwrap().unwrap();
        };
        let question = question("last");
        let (answered, ()) = tokio::join!(ask(&mut busy, &waits, &question), stopping);
        assert_eq!((answered.code, &*answered.body), (200, "hello last"));
    }
}

#[tokio::test]
async fn a_connection_that_is_old_ends_with_its_next_answer() {
    let limits = Limits {
        patience: Patience {
            age: Duration::ZERO,
            ..PATIENT.patience
        },
        ..PATIENT
    };
    for post in [POST, AT_ONCE] {
        let world = start(limits);
        let mut client = world.connect().await;
        let answered = ask(&mut client, post, &question("only")).await;
        assert_eq!(
            (answered.code, &*answered.headers["connection"]),
            (200, "close")
        );
        assert!(read(&mut client).await.is_err(), "and it is closed");
        world.until("holdfast_webhook_connections 0").await;
    }
}

#[tokio::test]
async fn whoever_reads_late_gets_every_answer_in_order() {
    const COUNT: usize = 600;
    for post in [POST, AT_ONCE] {
        let world = start(PATIENT);
        let client = world.connect().await.into_inner();
        let (reads, mut writes) = tokio::io::split(client);
        let uid = |at: usize| format!("{at:08000}");
        let asking = async {
            for at in 0..COUNT {
                let body = question(&uid(at));
                let head = format!("{post}\r\ncontent-length: {}\r\n\r\n", body.len());
                writes.write_all(head.as_bytes()).await.unwrap();
                writes.write_all(&body).await.unwrap();
                writes.flush().await.unwrap();
            }
        };
        let hearing = async {
            while !is_past(&world, 50) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let mut reads = BufReader::new(reads);
            for at in 0..COUNT {
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reads.read_line(&mut line).await.unwrap();
                    if let Some(said) = line.strip_prefix("content-length: ") {
                        length = said.trim_end().parse().unwrap();
                    }
                    if line.trim_end().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reads.read_exact(&mut body).await.unwrap();
                assert!(body == format!("hello {}", uid(at)).as_bytes(), "{at}");
            }
        };
        let both = async { tokio::join!(asking, hearing) };
        tokio::time::timeout(IN_TIME, both).await.unwrap();
    }
}

/// Whether more than so many reviews were answered.
fn is_past(world: &World, count: usize) -> bool {
    let text = world.telemetry.text();
    let line = text.lines().find_map(|line| {
        line.strip_prefix(r#"holdfast_admission_total{webhook="greeter",verdict="greeted"} "#)
    });
    line.is_some_and(|said| said.parse::<usize>().unwrap() > count)
}

#[tokio::test]
async fn a_panic_is_one_code_and_its_connection_goes_on_and_rests() {
    let world = start(PATIENT);
    let mut client = world.connect().await;
    assert_eq!(ask(&mut client, AT_ONCE, &question("a")).await.code, 200);
    let panics = AT_ONCE.replace("/at-once", "/panics-at-once");
    assert_eq!(ask(&mut client, &panics, &question("b")).await.code, 500);
    assert!(world.counts(r#"holdfast_webhook_refused_total{reason="panicked"} 1"#));
    assert_eq!(ask(&mut client, AT_ONCE, &question("c")).await.code, 200);
    assert_eq!(ask(&mut client, &panics, &question("d")).await.code, 500);
    // It has nothing under way, so nobody waits for it.
    let (stopped, ended) = tokio::join!(world.server.stop(), read(&mut client));
    stopped.unwrap();
    assert!(ended.is_err());
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_counted_whether_there_was_a_goodbye_or_not() {
    for (has_goodbye, post) in [
        (true, AT_ONCE),
        (false, AT_ONCE),
        (true, POST),
        (false, POST),
    ] {
        let world = start(PATIENT);
        let mut client = world.connect().await;
        let begin = format!("{post}\r\ncontent-length: 100\r\n\r\n{{");
        client.write_all(begin.as_bytes()).await.unwrap();
        client.flush().await.unwrap();
        if has_goodbye {
            client.shutdown().await.unwrap();
        } else {
            drop(client);
        }
        world
            .until(r#"holdfast_webhook_refused_total{reason="cut_body"} 1"#)
            .await;
        world.until("holdfast_webhook_connections 0").await;
    }
}
