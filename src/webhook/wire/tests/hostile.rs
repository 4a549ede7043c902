//! Clients that do what they must not.

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

/// The first byte of a record that holds an alert which is not encrypted.
const ALERT: u8 = 21;

/// What a server says to these bytes instead of a handshake, and why it gives up.
fn refused(ends: &Ends, bytes: &[u8]) -> (Vec<u8>, io::Error) {
    let mut pair = Pair::new(ends);
    pair.wire.stream.comes = bytes.to_vec();
    let Poll::Ready(Err(error)) = pair.wire.poll_shake(&mut context()) else {
        panic!("it goes on");
    };
    (pair.wire.stream.went, error)
}

#[test]
fn garbage_instead_of_a_handshake_is_told_so() {
    let ends = ends(&rustls::version::TLS13);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 100], &[0xff; 100]] {
        let (said, error) = refused(&ends, garbage);
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        assert_eq!(said.first(), Some(&ALERT), "{garbage:?}");
    }
}

#[test]
fn the_alert_waits_for_nobody() {
    let mut pair = Pair::new(&ends(&rustls::version::TLS13));
    pair.wire.stream.comes = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    pair.wire.stream.takes = 0;
    let failed = pair.wire.poll_shake(&mut context());
    // The client does not read; nobody waits until it does.
    assert!(matches!(failed, Poll::Ready(Err(_))), "{failed:?}");
}

#[test]
fn an_end_without_goodbye_is_an_error() {
    let ends = ends(&rustls::version::TLS13);
    let mut pair = Pair::new(&ends);
    pair.wire.stream.is_cut = true;
    let Poll::Ready(Err(error)) = pair.wire.poll_shake(&mut context()) else {
        panic!("it goes on");
    };
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let mut pair = Pair::shaken(&ends);
    pair.say(b"question");
    pair.deliver();
    pair.wire.stream.comes.extend([23, 3, 3]);
    pair.wire.stream.is_cut = true;
    assert_eq!(pair.read(100).unwrap().unwrap(), b"question");
    for _ in 0..2 {
        let error = pair.read(100).unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[test]
fn what_came_before_a_wrong_record_is_heard_and_nothing_after_it() {
    for version in BOTH {
        let mut pair = Pair::shaken(&ends(version));
        pair.say(b"right");
        pair.deliver();
        pair.say(b"wrong");
        let mut wrong = pair.flight();
        *wrong.last_mut().unwrap() ^= 1;
        pair.wire.stream.comes.extend(wrong);
        pair.say(b"after");
        pair.deliver();
        assert_eq!(pair.read(100).unwrap().unwrap(), b"right");
        for _ in 0..2 {
            let error = pair.read(100).unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
        let told = pair.fetch().unwrap_err();
        assert_eq!(
            told,
            rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)
        );
        let Poll::Ready(Err(error)) = pair.write(b"answer") else {
            panic!("written after a failure");
        };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(matches!(pair.shut(), Poll::Ready(Ok(()))));
        assert!(pair.keeps_nothing());
    }
}

#[test]
fn a_message_without_end_is_not_waited_for() {
    let mut pair = Pair::new(&ends(&rustls::version::TLS13));
    // A greeting that says it has sixteen million bytes, in records of sixteen thousand.
    let mut record = vec![22, 3, 3, 0x40, 0];
    record.resize(5 + MOST_TEXT, 0);
    record[5..9].copy_from_slice(&[1, 0xff, 0xff, 0xff]);
    for at in 0..10 {
        pair.wire.stream.comes.extend(&record);
        record[5..9].fill(0);
        match pair.wire.poll_shake(&mut context()) {
            Poll::Ready(Err(_)) => return,
            Poll::Ready(Ok(())) => panic!("this is no handshake"),
            Poll::Pending => assert!(at < 5, "{} bytes wait", pair.wire.session.kept()[0]),
        }
    }
    panic!("it still waits");
}

#[test]
fn a_goodbye_that_anybody_may_have_sent_is_not_believed() {
    let mut pair = Pair::new(&ends(&rustls::version::TLS13));
    pair.wire.stream.comes = vec![ALERT, 3, 3, 0, 2, 1, 0];
    assert!(pair.wire.poll_shake(&mut context()).is_pending());
    assert!(pair.shakes(Pair::deliver).is_ok());
    assert!(pair.shakes(Pair::deliver).unwrap());
}

#[test]
fn a_message_in_crumbs_takes_no_more_than_a_long_one() {
    let mut pair = Pair::new(&ends(&rustls::version::TLS13));
    // A greeting that may be as long as it says, in so small records that their frames make it too long.
    let mut record = vec![22, 3, 3, 0, 50];
    record.resize(5 + 50, 0);
    record[5..9].copy_from_slice(&[1, 0, 0xfd, 0xe8]);
    for _ in 0..1299 {
        pair.wire.stream.comes.extend(&record);
        record[5..9].fill(0);
        match pair.wire.poll_shake(&mut context()) {
            Poll::Ready(Err(error)) => {
                let error = error.to_string();
                assert!(error.contains("longer than any that is taken"), "{error}");
                return;
            }
            Poll::Ready(Ok(())) => panic!("this is no handshake"),
            Poll::Pending => {}
        }
    }
    panic!("{} bytes wait", pair.wire.session.kept()[0]);
}

#[test]
fn a_record_that_is_too_long_is_refused_by_its_head() {
    let mut pair = Pair::shaken(&ends(&rustls::version::TLS13));
    pair.wire.stream.comes.extend([23, 3, 3, 0xff, 0xff]);
    let error = pair.read(100).unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
}

static ENDS: LazyLock<Ends> = LazyLock::new(|| ends(&rustls::version::TLS13));

proptest! {
    #[test]
    fn a_handshake_with_a_wrong_byte_ends_or_waits_unless_it_means_the_same(at in 0_usize..600, flip in 1_u8.., cut in 1_usize..700) {
        let mut pair = Pair::new(&ENDS);
        for _ in 0..4 {
            let mut flight = pair.flight();
            if let Some(byte) = flight.get_mut(at) {
                *byte ^= flip;
            }
            for piece in flight.chunks(cut) {
                pair.wire.stream.comes.extend(piece);
                match pair.wire.poll_shake(&mut context()) {
                    Poll::Pending => {}
                    Poll::Ready(Err(_)) => {
                        prop_assert!(pair.wire.session.is_over().is_err());
                        return Ok(());
                    }
                    // Both have the same keys, then.
                    Poll::Ready(Ok(())) => {
                        pair.say(b"question");
                        pair.deliver();
                        prop_assert_eq!(pair.read_all(100), b"question");
                        prop_assert!(pair.write(b"answer").is_ready());
                        prop_assert_eq!(pair.hears(), (b"answer".to_vec(), false));
                        return Ok(());
                    }
                }
            }
            if pair.fetch().is_err() {
                return Ok(());
            }
        }
    }

    #[test]
    fn what_is_not_what_was_sent_is_never_heard(at in 0_usize..149, flip in 1_u8.., cut in 1_usize..200, size in 1_usize..50) {
        let mut pair = Pair::shaken(&ENDS);
        pair.say(b"first");
        let mut flight = pair.flight();
        pair.say(&[b'x'; 100]);
        flight.extend(pair.flight());
        // Two records, each with a frame of 22 bytes.
        prop_assert_eq!(flight.len(), 149);
        flight[at] ^= flip;
        let mut heard = Vec::new();
        for piece in flight.chunks(cut) {
            pair.wire.stream.comes.extend(piece);
            while let Some(Ok(more)) = pair.read(size) {
                heard.extend(more);
            }
        }
        // Of a record with a wrong byte there is nothing; those before it are whole. A wrong version is no wrong byte: nobody reads it.
        let all: Vec<u8> = b"first".iter().copied().chain([b'x'; 100]).collect();
        prop_assert!(heard.is_empty() || heard == b"first" || heard == all, "{heard:?}");
    }
}
