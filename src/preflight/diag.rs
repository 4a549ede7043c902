//! What the kernel answers when it is asked which Unix sockets are connected to which (`sock_diag`): bytes, read. Pure.

use std::collections::BTreeMap;

/// The question: all Unix sockets of this network namespace, with what they are connected to.
#[must_use]
pub fn question() -> Vec<u8> {
    let mut message = Vec::with_capacity(40);
    // Length, kind (by family), flags (a question, for all there are), number, port.
    message.extend(40_u32.to_ne_bytes());
    message.extend(20_u16.to_ne_bytes());
    message.extend(0x0301_u16.to_ne_bytes());
    message.extend([0; 8]);
    // Family; all states; any number; show the peer; any cookie.
    message.extend([1, 0, 0, 0]);
    message.extend(u32::MAX.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend(4_u32.to_ne_bytes());
    message.extend([0xff; 8]);
    message
}

/// Sockets and what they are connected to, by the numbers of their files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// Of those that are connected.
    pub of: BTreeMap<u64, u64>,
    /// The last part of the answer has come.
    pub is_whole: bool,
    /// The kernel does not answer that.
    pub is_refused: bool,
}

const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEAD: usize = 16;
/// Of the attribute that names the peer.
const PEER: u16 = 2;

impl Peers {
    /// Takes one part of an answer.
    pub fn read(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((kind, body, after)) = message(rest) {
            match kind {
                DONE => self.is_whole = true,
                ERROR => self.is_refused = true,
                _ => self.of.extend(connected(body)),
            }
            rest = after;
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let found = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(found.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let found = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(found.try_into().ok()?))
}

/// The first message: its kind, its body, and what follows.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let body = bytes.get(HEAD..length)?;
    Some((u16_at(bytes, 4)?, body, after(bytes, length)))
}

/// Everything begins at a multiple of four.
fn after(bytes: &[u8], length: usize) -> &[u8] {
    let next = length.checked_next_multiple_of(4);
    next.and_then(|next| bytes.get(next..)).unwrap_or_default()
}

/// A socket and its peer, where it has one.
fn connected(body: &[u8]) -> Option<(u64, u64)> {
    let own = u32_at(body, 4)?;
    let mut rest = body.get(16..)?;
    loop {
        let length = usize::from(u16_at(rest, 0)?);
        let value = rest.get(4..length)?;
        if u16_at(rest, 2)? == PEER {
            return Some((own.into(), u32_at(value, 0)?.into()));
        }
        rest = after(rest, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(own: u32, peer: Option<u32>) -> Vec<u8> {
        let mut body = vec![1, 1, 1, 0];
        body.extend(own.to_ne_bytes());
        body.extend([0; 8]);
        // Something else of five bytes, and what fills it up.
        body.extend([9, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0]);
        if let Some(peer) = peer {
            body.extend(8_u16.to_ne_bytes());
            body.extend(PEER.to_ne_bytes());
            body.extend(peer.to_ne_bytes());
        }
        framed(20, &body)
    }

    fn framed(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut all = u32::try_from(body.len().saturating_add(HEAD))
            .unwrap()
            .to_ne_bytes()
            .to_vec();
        all.extend(kind.to_ne_bytes());
        all.extend([0; 10]);
        all.extend(body);
        all
    }

    #[test]
    fn each_socket_is_told_with_what_it_is_connected_to() {
        let parts = [told(7, Some(8)), told(8, Some(7)), told(9, None)].concat();
        let mut peers = Peers::default();
        peers.read(&parts);
        assert!(!peers.is_whole);
        assert_eq!(peers.of, BTreeMap::from([(7, 8), (8, 7)]));
        peers.read(&framed(DONE, &[0; 4]));
        assert!(peers.is_whole && !peers.is_refused);
        peers.read(&framed(ERROR, &[0; 4]));
        assert!(peers.is_refused);
        assert_eq!(question().len(), 40);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_to_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..80) {
            Peers::default().read(&bytes);
            let whole = told(7, Some(8));
            Peers::default().read(whole.get(..cut.min(whole.len())).unwrap());
            let mut lying = whole;
            for (byte, from) in lying.iter_mut().zip(&bytes) { *byte = *from; }
            Peers::default().read(&lying);
        }
    }
}
