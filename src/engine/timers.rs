//! Timers of programs that CRIU would restore stopped.
//!
//! A `timerfd` that fires again and again says 0 for how long it has to wait, from the moment at which it fires until its program reads
//! it. A program that stands still reads nothing, so while it is dumped each of its quick timers says so; and a timer that is set to 0
//! is off (CRIU's issue 3162). What CRIU has noted of such a timer is mended before anybody else reads it: it waits for a whole
//! interval. What has fired already is noted apart, and not lost.

use crate::kit::protobuf::{Field, Message, fields, messages, number};

/// Where CRIU notes the open files of a container.
pub(crate) const FILES: &str = "files.img";
/// The image's two magic numbers.
const HEAD: usize = 8;
/// Of an entry: the timer that it is.
const TIMER: u32 = 12;
/// Of a timer: how often it has fired unread, how long it waits for the next time, and from then on.
const TICKS: u32 = 5;
const VALUE: [u32; 2] = [7, 8];
const INTERVAL: [u32; 2] = [9, 10];

/// An image whose timers are wound, and how many were; none of what is no such image.
pub(crate) fn wound(image: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (head, mut rest) = image.split_at_checked(HEAD)?;
    let (mut mended, mut count) = (head.to_vec(), 0_usize);
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (entry, behind) = behind.split_at_checked(length)?;
        rest = behind;
        let new = entry_wound(&fields(entry)?);
        count = count.saturating_add(usize::from(new.is_some()));
        let new = new.as_deref().unwrap_or(entry);
        mended.extend(u32::try_from(new.len()).ok()?.to_le_bytes());
        mended.extend(new);
    }
    Some((mended, count))
}

/// An entry of a timer that is to be wound.
fn entry_wound(entry: &[Field<'_>]) -> Option<Vec<u8>> {
    let timer = timer_wound(&fields(messages(entry, TIMER.into()).next()?)?)?;
    let new = entry.iter().fold(Message::default(), |new, field| {
        if field.number == u64::from(TIMER) {
            new.message(TIMER, &timer)
        } else {
            new.kept(field)
        }
    });
    Some(new.into_bytes())
}

/// A timer that has fired, and would not again. What it waits for is a number that is said even when it is zero.
fn timer_wound(timer: &[Field<'_>]) -> Option<Message> {
    let is_zero = |part: u32| number(timer, part.into()) == 0;
    let has_fired = !is_zero(TICKS) && VALUE.into_iter().all(is_zero);
    if !has_fired || INTERVAL.into_iter().all(is_zero) {
        return None;
    }
    Some(timer.iter().fold(Message::default(), |new, field| {
        let mut parts = VALUE.into_iter().zip(INTERVAL);
        match parts.find(|(part, _)| u64::from(*part) == field.number) {
            Some((part, interval)) => new.stated(part, number(timer, interval.into())),
            None => new.kept(field),
        }
    }))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(parts: &[(u32, u64)]) -> Message {
        let parts = parts.iter();
        parts.fold(Message::default(), |new, part| new.stated(part.0, part.1))
    }

    /// A timer: fired so often, seconds and nanoseconds to wait, and between two times.
    pub(crate) fn timer(ticks: u64, value: [u64; 2], interval: [u64; 2]) -> Vec<u8> {
        let owner = message(&[(1, 0), (4, 0)]);
        let timer = message(&[(1, 8), (2, 2)]).message(3, &owner);
        let timer = timer.stated(4, 1).stated(5, ticks).stated(6, 0);
        let timer = timer.stated(7, value[0]).stated(8, value[1]);
        let timer = timer.stated(9, interval[0]).stated(10, interval[1]);
        message(&[(1, 17), (2, 8)])
            .message(TIMER, &timer)
            .into_bytes()
    }

    pub(crate) fn image(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"\x19\x43\x56\x54\x38\x31\x30\x56".to_vec();
        for entry in entries {
            bytes.extend(u32::try_from(entry.len()).unwrap().to_le_bytes());
            bytes.extend(entry);
        }
        bytes
    }

    #[test]
    fn one_that_has_fired_waits_for_a_whole_interval() {
        let file = message(&[(1, 1), (2, 3)]).text(3, "a name").into_bytes();
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
