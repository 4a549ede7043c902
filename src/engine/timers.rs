//! Timers of programs that CRIU would restore stopped.
//!
//! A `timerfd` that fires again and again says 0 for how long it has to wait, from the moment at which it fires until its program reads
//! it. A program that stands still reads nothing, so while it is dumped each of its quick timers says so; and a timer that is set to 0
//! is off (CRIU's issue 3162). What CRIU has noted of such a timer is mended before anybody else reads it: it waits for a whole
//! interval. What has fired already is noted apart, and not lost.

/// Where CRIU notes the open files of a container.
pub(crate) const FILES: &str = "files.img";
/// The image's two magic numbers.
const HEAD: usize = 8;
/// Of an entry: the timer that it is.
const TIMER: u64 = 12;
/// Of a timer: how often it has fired unread, how long it waits for the next time, and from then on.
const TICKS: u64 = 5;
const VALUE: [u64; 2] = [7, 8];
const INTERVAL: [u64; 2] = [9, 10];

/// An image whose timers are wound, and how many were; none of what is no such image.
pub(crate) fn wound(image: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (head, mut rest) = image.split_at_checked(HEAD)?;
    let (mut mended, mut count) = (head.to_vec(), 0_usize);
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (entry, behind) = behind.split_at_checked(length)?;
        rest = behind;
        let new = entry_wound(entry)?;
        count = count.saturating_add(usize::from(new.is_some()));
        let new = new.as_deref().unwrap_or(entry);
        mended.extend(u32::try_from(new.len()).ok()?.to_le_bytes());
        mended.extend(new);
    }
    Some((mended, count))
}

/// An entry, if it is one of a timer that is to be wound; nothing at all where it cannot be read.
#[expect(
    clippy::option_option,
    reason = "unreadable and unchanged are two answers"
)]
fn entry_wound(entry: &[u8]) -> Option<Option<Vec<u8>>> {
    let fields = fields(entry)?;
    let mut timers = fields.iter().filter(|field| field.number == TIMER);
    let Some(timer) = timers.next().and_then(|field| timer_wound(field.value)) else {
        return Some(None);
    };
    let mut new = Vec::with_capacity(entry.len().saturating_add(timer.len()));
    for field in &fields {
        if field.number == TIMER {
            put_varint(&mut new, TIMER << 3 | LENGTH);
            put_varint(&mut new, u64::try_from(timer.len()).ok()?);
            new.extend(&timer);
        } else {
            new.extend(field.whole);
        }
    }
    Some(Some(new))
}

/// A timer that has fired, and would not again.
fn timer_wound(timer: &[u8]) -> Option<Vec<u8>> {
    let fields = fields(timer)?;
    let number = |wanted: u64| {
        let mut found = fields.iter().filter(|field| field.number == wanted);
        found.next_back().map_or(0, |field| field.varint)
    };
    let has_fired = number(TICKS) > 0 && VALUE.into_iter().all(|part| number(part) == 0);
    if !has_fired || INTERVAL.into_iter().all(|part| number(part) == 0) {
        return None;
    }
    let mut new = Vec::with_capacity(timer.len().saturating_add(16));
    for field in &fields {
        match VALUE
            .into_iter()
            .zip(INTERVAL)
            .find(|(part, _)| *part == field.number)
        {
            Some((part, interval)) => {
                put_varint(&mut new, part << 3);
                put_varint(&mut new, number(interval));
            }
            None => new.extend(field.whole),
        }
    }
    Some(new)
}

/// A field of a message, as protocol buffers write them.
struct Field<'a> {
    number: u64,
    whole: &'a [u8],
    /// Of one that is a number.
    varint: u64,
    /// Of one that has a length.
    value: &'a [u8],
}

/// How a field is written: with its length before it.
const LENGTH: u64 = 2;

/// All fields of a message, in their order.
fn fields(message: &[u8]) -> Option<Vec<Field<'_>>> {
    let (mut found, mut rest) = (Vec::new(), message);
    while !rest.is_empty() {
        let (tag, behind) = varint(rest)?;
        let mut field = Field {
            number: tag >> 3,
            whole: rest,
            varint: 0,
            value: &[],
        };
        let behind = match tag & 7 {
            0 => {
                let (number, behind) = varint(behind)?;
                field.varint = number;
                behind
            }
            1 => behind.get(8..)?,
            LENGTH => {
                let (length, behind) = varint(behind)?;
                let (value, behind) = behind.split_at_checked(usize::try_from(length).ok()?)?;
                field.value = value;
                behind
            }
            5 => behind.get(4..)?,
            _ => return None,
        };
        field.whole = rest.get(..rest.len().checked_sub(behind.len())?)?;
        rest = behind;
        found.push(field);
    }
    Some(found)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        let shift = u32::try_from(place).ok()?.checked_mul(7)?;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(place.checked_add(1)?..)?));
        }
    }
    None
}

fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(parts: &[(u64, u64)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, value) in parts {
            put_varint(&mut bytes, number << 3);
            put_varint(&mut bytes, *value);
        }
        bytes
    }

    fn within(number: u64, message: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, number << 3 | LENGTH);
        put_varint(&mut bytes, message.len() as u64);
        bytes.extend(message);
        bytes
    }

    /// A timer: fired so often, seconds and nanoseconds to wait, and between two times.
    fn timer(ticks: u64, value: [u64; 2], interval: [u64; 2]) -> Vec<u8> {
        let owner = within(3, &message(&[(1, 0), (4, 0)]));
        let rest = [
            (4, 1),
            (5, ticks),
            (6, 0),
            (7, value[0]),
            (8, value[1]),
            (9, interval[0]),
            (10, interval[1]),
        ];
        let timer = [message(&[(1, 8), (2, 2)]), owner, message(&rest)].concat();
        [message(&[(1, 17), (2, 8)]), within(TIMER, &timer)].concat()
    }

    fn image(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"\x19\x43\x56\x54\x38\x31\x30\x56".to_vec();
        for entry in entries {
            bytes.extend(u32::try_from(entry.len()).unwrap().to_le_bytes());
            bytes.extend(entry);
        }
        bytes
    }

    #[test]
    fn one_that_has_fired_waits_for_a_whole_interval() {
        let file = [message(&[(1, 1), (2, 3)]), within(3, b"a name")].concat();
        let before = image(&[
            file.clone(),
            timer(1, [0, 0], [0, 50_000_000]),
            file.clone(),
        ]);
        let after = image(&[
            file.clone(),
            timer(1, [0, 50_000_000], [0, 50_000_000]),
            file,
        ]);
        assert_eq!(wound(&before), Some((after.clone(), 1)));
        assert_eq!(wound(&after), Some((after, 0)), "once is enough");
    }

    #[test]
    fn all_others_are_left_alone() {
        for (ticks, value, interval, why) in [
            (0, [0, 0], [0, 50], "it is off"),
            (1, [0, 0], [0, 0], "it fires once, and has"),
            (1, [0, 7], [0, 50], "it waits"),
            (0, [3, 0], [0, 0], "it waits, and fires once"),
        ] {
            let image = image(&[timer(ticks, value, interval)]);
            assert_eq!(wound(&image), Some((image, 0)), "{why}");
        }
    }

    proptest! {
        #[test]
        fn bytes_that_come_to_mind_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some((mended, count)) = wound(&bytes) {
                prop_assert!(count > 0 || mended == bytes);
            }
        }
    }
}
