//! A request that is answered without hyper, read a second time in the plainest way.

use crate::webhook::usual::{Found, LONGEST_HEAD, SPACE, find};

/// Looks for a usual request at the beginning of a text; is there a whole one?
///
/// # Panics
/// Where something was found that another way of reading does not see there, or where more or less of the text makes another request.
#[must_use]
pub fn request(text: &[u8]) -> bool {
    match find(text, SPACE) {
        Found::Request(path, body, end) => {
            let begin = end - body.len();
            assert_eq!(&text[begin..end], body, "another body");
            reads_as(&text[..begin], path, body.len());
            let whole = Found::Request(path, body, end);
            assert_eq!(find(&text[..end], SPACE), whole, "without what follows");
            let longer = [text, b"POST / HTTP/1.1\r\n"].concat();
            assert_eq!(find(&longer, SPACE), whole, "with more behind it");
            if let Some(last) = body.len().checked_sub(1) {
                let short = Found::Body(path, end);
                assert_eq!(find(&text[..begin + last], SPACE), short, "cut");
            }
            let shortest = find(&text[..begin - 1], SPACE);
            // What is longer than a head is waited for is left to others.
            let is_long = begin > LONGEST_HEAD;
            assert!(shortest == Found::Head || is_long && shortest == Found::Other);
            true
        }
        Found::Body(path, end) => {
            assert!(end > text.len(), "waits for what is there");
            let mut whole = text.to_vec();
            whole.resize(end, b' ');
            match find(&whole, SPACE) {
                Found::Request(same, body, at) => {
                    assert_eq!((same, at), (path, end));
                    reads_as(&whole[..end - body.len()], path, body.len());
                }
                other => panic!("with its body it is {other:?}"),
            }
            false
        }
        Found::Head => {
            assert!(text.len() < LONGEST_HEAD, "waits for too long a head");
            false
        }
        Found::Other => false,
    }
}

/// The head, line by line.
fn reads_as(head: &[u8], path: &str, length: usize) {
    // Values may hold bytes that are no text.
    let head = String::from_utf8_lossy(head);
    let mut lines = head.trim_start_matches(['\r', '\n']).lines();
    let first = lines.next().unwrap();
    let target = first.strip_prefix("POST ").unwrap();
    let target = target.strip_suffix(" HTTP/1.1").unwrap();
    assert_eq!(target.split('?').next(), Some(path));
    let headers: Vec<_> = lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let of = |wanted: &str| -> Vec<&str> {
        let of = headers.iter().filter(|(name, _)| name == wanted);
        of.map(|(_, value)| *value).collect()
    };
    let lengths = of("content-length");
    assert!(lengths.len() == 1 && lengths[0].parse() == Ok(length));
    assert_eq!(of("content-type"), ["application/json"]);
    for meant in ["transfer-encoding", "connection", "expect", "upgrade", "te"] {
        assert!(of(meant).is_empty(), "{meant} was passed over");
    }
}
