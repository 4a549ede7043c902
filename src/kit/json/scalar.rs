//! Numbers, words and escapes: the parts of JSON that are looked at byte by byte.

/// Whether a number, `true`, `false` or `null` stands here, and then the end of what it is the value of.
pub(super) fn is_scalar(text: &[u8]) -> bool {
    let rest = match text {
        [b't', b'r', b'u', b'e', rest @ ..]
        | [b'n', b'u', b'l', b'l', rest @ ..]
        | [b'f', b'a', b'l', b's', b'e', rest @ ..] => Some(rest),
        _ => number(text),
    };
    matches!(rest, Some([b',' | b'}' | b']', ..]))
}

/// What follows a number.
fn number(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let rest = match rest {
        [b'0', rest @ ..] => rest,
        _ => digits(rest)?,
    };
    let rest = match rest {
        [b'.', rest @ ..] => digits(rest)?,
        _ => rest,
    };
    match rest {
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => digits(rest),
        _ => Some(rest),
    }
}

/// What follows the digits of which there is at least one.
fn digits(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { None } else { text.get(count..) }
}

/// How long the escape is that the backslash here begins; none where there is no such escape.
pub(super) fn escape(text: &[u8]) -> Option<u32> {
    match text {
        [
            _,
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
            ..,
        ] => Some(2),
        [_, b'u', digits @ ..] => {
            let is_whole = digits.get(..4)?.iter().all(u8::is_ascii_hexdigit);
            is_whole.then_some(6)
        }
        _ => None,
    }
}
