//! What is sent arrives, however it is cut into pieces.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsConnector;

/// Cuts each flight of the handshake, until no flight is as long as that; how long that is.
fn cut_everywhere(ends: &Ends, step: usize) -> usize {
    let mut cut = 1;
    loop {
        let (mut pair, mut was_cut) = (Pair::new(ends), false);
        while !pair.wire.session.has_shaken() {
            let flight = pair.flight();
            if cut < flight.len() {
                was_cut = true;
                assert!(
                    !pair
                        .shakes(|pair| pair.wire.stream.comes.extend(&flight[..cut]))
                        .unwrap()
                );
                pair.shakes(|pair| pair.wire.stream.comes.extend(&flight[cut..]))
                    .unwrap();
            } else {
                pair.shakes(|pair| pair.wire.stream.comes.extend(&flight))
                    .unwrap();
            }
        }
        assert!(!pair.client.is_handshaking());
        assert!(pair.keeps_nothing());
        if !was_cut {
            return cut;
        }
        cut = cut.saturating_add(step);
    }
}

#[test]
fn a_handshake_may_be_cut_anywhere() {
    for version in BOTH {
        assert!(cut_everywhere(&ends(version), 1) > 60);
    }
}

#[test]
fn the_certificate_of_a_client_may_be_cut_anywhere_too() {
    for version in BOTH {
        for (names, step, length) in [(1, 7, 300), (1500, 499, MOST_TEXT)] {
            let ends = known_ends(version, names);
            let longest = cut_everywhere(&ends, step);
            assert!(
                longest > length,
                "{longest} bytes with {names} names, {version:?}"
            );
        }
    }
}

#[test]
fn a_goodbye_may_come_with_the_last_bytes_of_the_handshake() {
    for (version, question) in [
        (&rustls::version::TLS12, &b""[..]),
        (&rustls::version::TLS13, b""),
        (&rustls::version::TLS13, b"only question"),
    ] {
        let mut pair = Pair::new(&ends(version));
        pair.say(question);
        assert!(!pair.shakes(Pair::deliver).unwrap());
        pair.client.send_close_notify();
        assert!(pair.shakes(Pair::deliver).unwrap());
        assert_eq!(pair.read_all(5), question);
        assert_eq!(pair.read(5).unwrap().unwrap(), b"", "and nothing follows");
        assert!(matches!(pair.write(b"answer"), Poll::Ready(Ok(6))));
        assert!(matches!(pair.shut(), Poll::Ready(Ok(()))));
        assert_eq!(pair.hears(), (b"answer".to_vec(), true));
        assert!(pair.keeps_nothing());
    }
}

#[test]
fn nothing_is_written_where_there_is_nothing_to_write() {
    let mut pair = Pair::shaken(&ends(&rustls::version::TLS13));
    assert!(matches!(pair.write(b""), Poll::Ready(Ok(0))));
    assert!(pair.wire.stream.went.is_empty());
    assert!(matches!(pair.write(b"answer"), Poll::Ready(Ok(6))));
    assert_eq!(pair.hears(), (b"answer".to_vec(), false));
}

#[test]
fn a_request_may_be_cut_anywhere_and_nothing_is_kept_of_it() {
    for version in BOTH {
        let mut pair = Pair::shaken(&ends(version));
        let mut cut = 0;
        loop {
            pair.say(b"one");
            pair.say(b"two and");
            pair.say(b"three");
            let flight = pair.flight();
            if cut > flight.len() {
                break;
            }
            pair.wire.stream.comes.extend(&flight[..cut]);
            let mut heard = pair.read_all(8);
            pair.wire.stream.comes.extend(&flight[cut..]);
            heard.extend(pair.read_all(8));
            assert_eq!(heard, b"onetwo andthree", "cut at {cut}");
            assert!(pair.keeps_nothing());
            cut += 1;
        }
    }
}

#[test]
fn a_request_may_come_with_the_last_bytes_of_the_handshake() {
    let mut pair = Pair::new(&ends(&rustls::version::TLS13));
    pair.say(b"early question");
    while !pair.shakes(Pair::deliver).unwrap() {}
    pair.deliver();
    assert_eq!(pair.read_all(5), b"early question");
    assert!(pair.keeps_nothing());
}

#[test]
fn many_records_in_one_read_and_one_record_in_many() {
    for version in BOTH {
        let mut pair = Pair::shaken(&ends(version));
        for length in [1, 100, MOST_TEXT - 1, MOST_TEXT, MOST_TEXT + 1, 100_000] {
            let said = text(length);
            for size in [1, 100, 8192, 40_000] {
                pair.say(&said);
                pair.deliver();
                assert!(pair.read_all(size) == said, "{length} by {size}");
                assert!(pair.keeps_nothing());
            }
            pair.say(&said);
            let mut heard = Vec::new();
            for piece in pair.flight().chunks(997) {
                pair.wire.stream.comes.extend(piece);
                heard.extend(pair.read_all(8192));
            }
            assert!(heard == said, "{length} in pieces");
            assert!(pair.keeps_nothing());
        }
    }
}

#[test]
fn an_answer_waits_for_a_socket_that_takes_only_a_part_of_it() {
    for version in BOTH {
        let mut pair = Pair::shaken(&ends(version));
        for at_once in [1, 3, 4000, 20_000] {
            let answer = text(50_000);
            (pair.wire.stream.takes, pair.wire.stream.at_once) = (0, Some(at_once));
            let (mut written, mut heard) = (0, Vec::new());
            while heard.len() < answer.len() {
                if let Poll::Ready(taken) = pair.write(&answer[written..]) {
                    written += taken.unwrap();
                    assert!(written <= answer.len());
                }
                assert!(
                    pair.wire.session.unsent.len() < SPACE,
                    "one record waits at most"
                );
                pair.wire.stream.takes += at_once + 1;
                if written == answer.len() {
                    let is_flushed = pair.flush().is_ready();
                    assert_eq!(is_flushed, pair.wire.session.unsent.is_empty());
                }
                heard.extend(pair.hears().0);
            }
            assert!(heard == answer, "{at_once} at once");
            assert!(pair.flush().is_ready());
            assert!(pair.keeps_nothing());
        }
    }
}

#[test]
fn nothing_is_written_before_what_waits() {
    let mut pair = Pair::shaken(&ends(&rustls::version::TLS13));
    pair.wire.stream.takes = 0;
    assert!(matches!(pair.write(b"first"), Poll::Ready(Ok(5))));
    assert!(pair.write(b"second").is_pending());
    assert!(pair.flush().is_pending());
    pair.wire.stream.takes = 4;
    assert!(pair.write(b"second").is_pending());
    pair.wire.stream.takes = usize::MAX;
    assert!(matches!(pair.write(b"second"), Poll::Ready(Ok(6))));
    assert_eq!(pair.hears(), (b"firstsecond".to_vec(), false));
}

#[test]
fn each_side_may_say_goodbye_and_still_hear_the_other() {
    for version in BOTH {
        let ends = ends(version);
        let mut pair = Pair::shaken(&ends);
        pair.say(b"last question");
        pair.client.send_close_notify();
        pair.deliver();
        assert_eq!(pair.read_all(4), b"last question");
        assert_eq!(pair.read(4).unwrap().unwrap(), b"", "and again");
        assert!(matches!(pair.write(b"answer"), Poll::Ready(Ok(6))));
        assert!(matches!(pair.shut(), Poll::Ready(Ok(()))));
        assert_eq!(pair.hears(), (b"answer".to_vec(), true));
        assert!(pair.wire.stream.is_shut && pair.keeps_nothing());

        let mut pair = Pair::shaken(&ends);
        pair.wire.stream.takes = 3;
        assert!(pair.shut().is_pending());
        assert!(!pair.wire.stream.is_shut);
        pair.wire.stream.takes = usize::MAX;
        assert!(matches!(pair.shut(), Poll::Ready(Ok(()))));
        assert_eq!(pair.hears(), (Vec::new(), true));
        let Poll::Ready(Err(refused)) = pair.write(b"more") else {
            panic!("written after the goodbye");
        };
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
        if version == &rustls::version::TLS13 {
            pair.say(b"still");
            pair.deliver();
            assert_eq!(pair.read_all(100), b"still");
        }
    }
}

#[test]
fn keys_are_changed_whoever_wants_it() {
    let mut pair = Pair::shaken(&ends(&rustls::version::TLS13));
    for round in 0..20 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.say(b"question");
        pair.deliver();
        assert_eq!(pair.read_all(100), b"question", "{round}");
        assert!(matches!(pair.write(b"answer"), Poll::Ready(Ok(6))));
        assert_eq!(pair.hears(), (b"answer".to_vec(), false), "{round}");
        assert!(pair.keeps_nothing());
    }
}

#[tokio::test]
async fn a_client_of_another_make_is_understood_through_the_narrowest_of_ways() {
    let said = text(40_000);
    for version in BOTH {
        let ends = ends(version);
        for width in [1, 2, 5, 63, 1000, 16_389, 70_000] {
            let (near, far) = duplex(width);
            let server = tokio::spawn(Wire::accept(far, Arc::clone(&ends.server)));
            let name = ServerName::try_from(NAME).unwrap();
            let client = TlsConnector::from(Arc::clone(&ends.client)).connect(name, near);
            let (mut client, server) = (client.await.unwrap(), server.await.unwrap());
            let mut server = server.unwrap();
            let length = said.len();
            let serving = tokio::spawn(async move {
                let mut heard = vec![0; length];
                server.read_exact(&mut heard).await.unwrap();
                server.write_all(&heard).await.unwrap();
                server.shutdown().await.unwrap();
                let mut rest = Vec::new();
                server.read_to_end(&mut rest).await.unwrap();
                rest
            });
            client.write_all(&said).await.unwrap();
            client.flush().await.unwrap();
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            assert!(heard == said, "{width} wide");
            client.write_all(b"bye").await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(serving.await.unwrap(), b"bye", "{width} wide");
        }
    }
}
