//! Answers: taken apart as far as is needed, and judged. Pure.

use crate::driver::arguments::Expect;
use memchr::memmem;

/// An answer that came whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
    /// The server will not take another request on this connection.
    pub(crate) closes: bool,
    /// How many bytes it takes, head and body.
    pub(crate) length: usize,
}

/// Reads one answer; none while a part of it is missing.
///
/// # Errors
/// What is no answer, or one that this driver does not read.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Answer<'_>>, &'static str> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > 16_384 {
            Err("the head does not end")
        } else {
            Ok(None)
        };
    };
    let (head, rest) = bytes.split_at(end);
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let status = status(lines.next().unwrap_or_default()).ok_or("this is no answer of HTTP/1.1")?;
    let (mut length, mut closes) = (None, false);
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Err("a line of the head has no colon");
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            length = Some(number(value).ok_or("the length of the body is no number")?);
        } else if name.eq_ignore_ascii_case(b"connection") {
            closes = value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err("the answer comes in chunks; an answer of known length is expected");
        }
    }
    let length = length.ok_or("the answer does not tell its length")?;
    let body = rest.get(4..).unwrap_or_default();
    Ok(body.get(..length).map(|body| Answer {
        status,
        body,
        closes,
        length: end.saturating_add(4).saturating_add(length),
    }))
}

fn status(line: &[u8]) -> Option<u16> {
    let code = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    number(code).and_then(|code| u16::try_from(code).ok())
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What is wrong with an answer, in a word; nothing, if it is right.
pub(crate) fn fault(answer: &Answer<'_>, uid: &[u8], expect: Expect) -> Option<&'static str> {
    let has = |text: &[u8]| memmem::find(answer.body, text).is_some();
    if answer.status != 200 {
        Some("status")
    } else if !has(b"\"allowed\":true") {
        Some("not allowed")
    } else if expect != Expect::Constant && !has(uid) {
        Some("uid")
    } else if expect == Expect::Sized && !has(b"\"patch\":\"") {
        Some("no patch")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length:  9\r\n";

    #[test]
    fn an_answer_is_read_when_it_is_whole() {
        let text = format!("{HEAD}date: now\r\n\r\n123456789HTTP/1.1");
        for cut in 0..text.len() - 8 {
            assert_eq!(read(&text.as_bytes()[..cut]), Ok(None), "{cut}");
        }
        let answer = read(text.as_bytes()).unwrap().unwrap();
        assert_eq!((answer.status, answer.body), (200, &b"123456789"[..]));
        assert_eq!((answer.length, answer.closes), (text.len() - 8, false));
    }

    #[test]
    fn the_end_of_a_connection_is_heard() {
        let text = format!("{HEAD}Connection: CLOSE\r\n\r\n123456789");
        assert!(read(text.as_bytes()).unwrap().unwrap().closes);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for text in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "garbage\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read(&[b'a'; 20_000]).is_err());
    }

    #[test]
    fn an_answer_is_judged() {
        let judge = |status, body: &'static str, expect| {
            let answer = Answer {
                status,
                body: body.as_bytes(),
                closes: false,
                length: 0,
            };
            fault(&answer, b"u-1", expect)
        };
        let right = r#"{"uid":"u-1","allowed":true,"patchType":"JSONPatch","patch":"W10="}"#;
        let bare = r#"{"uid":"u-1","allowed":true}"#;
        assert_eq!(judge(200, right, Expect::Sized), None);
        assert_eq!(judge(503, right, Expect::Sized), Some("status"));
        assert_eq!(judge(200, bare, Expect::Sized), Some("no patch"));
        assert_eq!(judge(200, bare, Expect::Allowed), None);
        assert_eq!(
            judge(200, r#"{"uid":"u-2","allowed":true}"#, Expect::Allowed),
            Some("uid")
        );
        assert_eq!(
            judge(200, r#"{"uid":"u-2","allowed":true}"#, Expect::Constant),
            None
        );
        assert_eq!(
            judge(200, r#"{"uid":"u-1","allowed":false}"#, Expect::Sized),
            Some("not allowed")
        );
    }
}
