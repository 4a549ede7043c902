//! Files as they travel: one after the other, in pieces, each compressed by itself, so that neither side ever has more than one piece of
//! a file in memory, whatever the other one says.
//!
//! ```text
//! piece:  kind (1)  length (4)  what follows (4)  …
//! kind 0  bytes of the file, as they are           length = what follows
//! kind 1  bytes of the file, by zstd               what follows < length
//! kind 2  a file begins, or goes on at an offset: JSON   length = what follows
//! ```

use crate::agent::peers::path::Below;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// How much of a file is in a piece.
pub(crate) const PIECE: usize = 1 << 20;
const HEAD: usize = 9;
/// A path, an offset, and what a newer agent may say besides.
const LONGEST_NOTE: usize = 4096;
/// What a node's memory is written with is not waited for: the quickest there is.
const LEVEL: i32 = 1;
/// Where a whole piece hardly gets shorter, so many after it are sent as they are: what is noise here is noise for some way.
const NOISE: u32 = 15;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const FILE: u8 = 2;

/// What is sent of a file from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Begins {
    /// Which.
    pub(crate) path: Below,
    /// What it had before: whatever the receiver has beyond that is cut off.
    pub(crate) offset: u64,
    /// It is not cut off; what follows is written over it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) keeps: bool,
}

/// One thing of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A file begins, or goes on.
    File(Begins),
    /// The next bytes of it.
    Data(Bytes),
}

/// Makes pieces.
pub(crate) struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
    /// So many are not tried.
    noise: u32,
}

impl Packer {
    /// A new one.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn new() -> std::io::Result<Self> {
        zstd::bulk::Compressor::new(LEVEL).map(|zstd| Self { zstd, noise: 0 })
    }

    /// A file begins.
    pub(crate) fn file(begins: &Begins) -> Bytes {
        let note = serde_json::to_vec(begins).unwrap_or_default();
        piece(FILE, note.len(), &note)
    }

    /// Bytes of it, up to [`PIECE`]; as they are, where they would not get shorter.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> Bytes {
        if let Some(left) = self.noise.checked_sub(1) {
            self.noise = left;
            return piece(PLAIN, bytes.len(), bytes);
        }
        let packed = self.zstd.compress(bytes);
        let length = packed.as_ref().map_or(bytes.len(), Vec::len);
        let saved = bytes.len().saturating_sub(length);
        // Less than a sixteenth is not worth its time.
        if bytes.len() == PIECE && saved <= PIECE / 16 {
            self.noise = NOISE;
        }
        match packed {
            Ok(packed) if saved > 0 => piece(ZSTD, bytes.len(), &packed),
            _ => piece(PLAIN, bytes.len(), bytes),
        }
    }
}

fn piece(kind: u8, length: usize, content: &[u8]) -> Bytes {
    let mut piece = BytesMut::with_capacity(HEAD.saturating_add(content.len()));
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    piece.put_u8(kind);
    piece.put_u32(number(length));
    piece.put_u32(number(content.len()));
    piece.put_slice(content);
    piece.freeze()
}

/// Reads pieces, from bytes as they come.
pub(crate) struct Unpacker {
    waiting: BytesMut,
    zstd: zstd::bulk::Decompressor<'static>,
}

impl Unpacker {
    /// A new one.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            waiting: BytesMut::new(),
            zstd: zstd::bulk::Decompressor::new()?,
        })
    }

    /// More bytes have come.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Nothing was begun and not ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next thing, if all of it has come. Asked until there is none, no more than one piece waits.
    ///
    /// # Errors
    /// A sentence: this is no stream of ours. Nothing more can be read of it.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, String> {
        let Some(mut head) = self.waiting.get(..HEAD) else {
            return Ok(None);
        };
        let (kind, length, follows) = (head.get_u8(), head.get_u32(), head.get_u32());
        let (length, follows) = (as_size(length), as_size(follows));
        let is_sound = match kind {
            PLAIN => follows == length && length <= PIECE,
            ZSTD => follows < length && length <= PIECE,
            FILE => follows == length && length <= LONGEST_NOTE,
            _ => return Err(format!("a piece is of kind {kind}, which nobody knows")),
        };
        if !is_sound {
            return Err(format!(
                "a piece of kind {kind} says that {follows} bytes stand for {length}: the most are {PIECE}"
            ));
        }
        let end = HEAD.saturating_add(follows);
        if self.waiting.len() < end {
            self.waiting.reserve(end.saturating_sub(self.waiting.len()));
            return Ok(None);
        }
        let mut content = self.waiting.split_to(end).freeze();
        content.advance(HEAD);
        Ok(Some(match kind {
            FILE => Item::File(
                serde_json::from_slice(&content)
                    .map_err(|error| format!("the note of a file cannot be read: {error}"))?,
            ),
            ZSTD => Item::Data(self.unpacked(&content, length)?.into()),
            _ => Item::Data(content),
        }))
    }

    fn unpacked(&mut self, content: &[u8], length: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; length];
        let written = self
            .zstd
            .decompress_to_buffer(content, bytes.as_mut_slice())
            .map_err(|error| format!("a piece is no zstd, or longer than it says: {error}"))?;
        if written == length {
            return Ok(bytes);
        }
        Err(format!("a piece says {length} bytes and has {written}"))
    }
}

fn as_size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn begins(path: &str, offset: u64) -> Begins {
        Begins {
            path: Below::try_from(path.to_owned()).unwrap(),
            offset,
            keeps: false,
        }
    }

    /// All of it, pushed in parts of this size.
    fn read(stream: &[u8], part: usize) -> Result<Vec<Item>, String> {
        let mut unpacker = Unpacker::new().unwrap();
        let mut found = Vec::new();
        for bytes in stream.chunks(part) {
            unpacker.push(bytes);
            while let Some(item) = unpacker.next()? {
                found.push(item);
            }
        }
        if unpacker.is_empty() {
            Ok(found)
        } else {
            Err("cut off".into())
        }
    }

    #[test]
    fn a_file_comes_as_it_went_however_it_is_cut() {
        let mut packer = Packer::new().unwrap();
        let noise: Vec<u8> = (0..5000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
            .collect();
        let zeros = vec![0; PIECE];
        let mut stream = Vec::new();
        stream.extend(Packer::file(&begins("a/b", 7)));
        stream.extend(packer.data(&noise));
        let before = stream.len();
        stream.extend(packer.data(&zeros));
        assert!(stream.len() - before < 1000, "zeros travel in a few bytes");
        stream.extend(Packer::file(&begins("empty", 0)));
        for part in [1, 8, 9, 10, 4096, stream.len()] {
            let found = read(&stream, part).unwrap();
            assert_eq!(found[0], Item::File(begins("a/b", 7)));
            assert_eq!(found[1], Item::Data(noise.clone().into()));
            assert_eq!(found[2], Item::Data(zeros.clone().into()));
            assert_eq!(found[3], Item::File(begins("empty", 0)));
        }
        assert!(read(&stream[..stream.len() - 1], 64).is_err());
    }

    #[test]
    fn what_does_not_get_shorter_is_not_tried_again_for_some_way() {
        let mut state = 1_u64;
        let mut noise = || {
            let mut word = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            };
            std::iter::repeat_with(&mut word)
                .take(PIECE / 8)
                .flatten()
                .collect::<Vec<_>>()
        };
        let zeros = vec![0; PIECE];
        let mut packer = Packer::new().unwrap();
        let short = packer.data(&noise()[..1000]);
        assert_eq!(short[0], PLAIN);
        assert_eq!(packer.data(&zeros)[0], ZSTD, "a short one says nothing");
        assert_eq!(packer.data(&noise())[0], PLAIN);
        for _piece in 0..NOISE {
            assert_eq!(packer.data(&zeros)[0], PLAIN);
        }
        assert_eq!(packer.data(&zeros)[0], ZSTD);
        assert_eq!(packer.data(&zeros)[0], ZSTD);
    }

    #[test]
    fn what_claims_to_be_longer_than_a_piece_is_refused_before_it_is_kept() {
        let head = |kind: u8, length: u32, follows: u32| {
            [&[kind][..], &length.to_be_bytes(), &follows.to_be_bytes()].concat()
        };
        for bad in [
            head(PLAIN, u32::MAX, u32::MAX),
            head(ZSTD, u32::MAX, 100),
            head(ZSTD, 100, 100),
            head(PLAIN, 5, 6),
            head(FILE, 5000, 5000),
            head(9, 1, 1),
        ] {
            assert!(read(&bad, 64).is_err(), "{bad:?}");
        }
        let mut bomb = zstd::bulk::compress(&vec![0; PIECE * 2], LEVEL).unwrap();
        let mut stream = head(ZSTD, 1 << 20, u32::try_from(bomb.len()).unwrap());
        stream.append(&mut bomb);
        assert!(read(&stream, 4096).unwrap_err().contains("longer"));
    }

    #[test]
    fn a_path_that_leads_elsewhere_ends_the_stream() {
        let note = br#"{"path":"../x","offset":0}"#;
        assert!(read(&piece(FILE, note.len(), note), 64).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_bad(bytes in proptest::collection::vec(any::<u8>(), 0..2000), part in 1_usize..100) {
            // Whether it is refused does not matter; that it ends does.
            let _read = read(&bytes, part);
        }
    }
}
