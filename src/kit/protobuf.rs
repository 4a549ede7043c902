//! As much of protocol buffers as the few messages of the CRI and of CRIU need that we read: numbers, texts, and messages within
//! messages. Fields that we do not know are passed over, or kept as they are, so whoever writes them may say more.

/// A message that is being written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Message(Vec<u8>);

/// A field of a message that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    pub(crate) value: Value<'a>,
    /// All its bytes, with its number before them.
    pub(crate) whole: &'a [u8],
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Of the kinds that are one number on the wire.
    Number(u64),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    /// Adds a number; zero is what a missing one means.
    pub(crate) fn number(self, field: u32, value: u64) -> Self {
        if value == 0 {
            self
        } else {
            self.stated(field, value)
        }
    }

    /// Adds a number, and says it even when it is zero.
    pub(crate) fn stated(mut self, field: u32, value: u64) -> Self {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    /// Adds a field as it was read.
    pub(crate) fn kept(mut self, field: &Field<'_>) -> Self {
        self.0.extend_from_slice(field.whole);
        self
    }

    /// Adds a text; an empty one is what a missing one means.
    pub(crate) fn text(self, field: u32, text: &str) -> Self {
        if text.is_empty() {
            self
        } else {
            self.bytes(field, text.as_bytes())
        }
    }

    /// Adds a message, which is said even when it is empty.
    pub(crate) fn message(self, field: u32, inner: &Self) -> Self {
        self.bytes(field, &inner.0)
    }

    /// As it goes over the wire.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.key(field, LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn key(&mut self, field: u32, kind: u64) {
        self.varint(u64::from(field) << 3 | kind);
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let low = (value & 0x7f).to_le_bytes()[0];
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return;
            }
            self.0.push(low | 0x80);
        }
    }
}

/// The fields of a message, in order; nothing if it is cut off or is no message.
pub(crate) fn fields(mut bytes: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let before = bytes;
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            VARINT => Value::Number(varint(&mut bytes)?),
            LENGTH => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Value::Bytes(take(&mut bytes, length)?)
            }
            FIXED64 => Value::Bytes(take(&mut bytes, 8)?),
            FIXED32 => Value::Bytes(take(&mut bytes, 4)?),
            _ => return None,
        };
        found.push(Field {
            number: key >> 3,
            value,
            whole: before.get(..before.len().checked_sub(bytes.len())?)?,
        });
    }
    Some(found)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The first text of a field; empty if there is none.
pub(crate) fn text(of: &[Field<'_>], field: u64) -> String {
    texts(of, field).next().unwrap_or_default()
}

/// All texts of a field.
pub(crate) fn texts<'a>(of: &'a [Field<'a>], field: u64) -> impl Iterator<Item = String> {
    messages(of, field).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// All messages of a field.
pub(crate) fn messages<'a>(of: &'a [Field<'a>], field: u64) -> impl Iterator<Item = &'a [u8]> {
    of.iter().filter_map(move |one| match one.value {
        Value::Bytes(bytes) if one.number == field => Some(bytes),
        _ => None,
    })
}

/// The number of a field; zero if there is none. Of several the last counts.
pub(crate) fn number(of: &[Field<'_>], field: u64) -> u64 {
    let found = of.iter().rev().find_map(|one| match one.value {
        Value::Number(value) if one.number == field => Some(value),
        _ => None,
    });
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_what_the_specification_shows() {
        // The examples of the encoding's own documentation.
        assert_eq!(
            Message::default().number(1, 150).into_bytes(),
            [0x08, 0x96, 0x01]
        );
        let testing = Message::default().text(2, "testing");
        assert_eq!(testing.clone().into_bytes(), b"\x12\x07testing");
        let outer = Message::default().message(3, &Message::default().number(1, 150));
        assert_eq!(outer.into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::default().stated(1, 0).into_bytes(), [0x08, 0x00]);
        assert_eq!(text(&fields(&testing.into_bytes()).unwrap(), 2), "testing");
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        for bytes in [
            &b"\x12\x07test"[..],
            b"\x08",
            b"\x08\x96",
            b"\x0b",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(fields(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(n in 1_u64.., words in "[a-zé]{1,300}", field in 8_u32..5000) {
            let bytes = Message::default().number(field, n).text(7, &words).into_bytes();
            let found = fields(&bytes).unwrap();
            prop_assert_eq!(text(&found, 7), words);
            prop_assert_eq!(number(&found, field.into()), n);
            let again = found.iter().fold(Message::default(), |new, field| new.kept(field));
            prop_assert_eq!(again.into_bytes(), bytes);
        }

        #[test]
        fn never_fails_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _any = fields(&bytes);
        }
    }
}
