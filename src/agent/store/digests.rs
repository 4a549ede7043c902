//! What a file of a state is known again by: a SHA-256 of each of its blocks, and one over those. So a part that changes is read again by
//! itself, and blocks need not be read in their order.

use crate::agent::store::manifest::FileNote;
use crate::kit::digest::Digest;
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// How much of a file has a digest of its own, and is in memory at once.
pub(crate) const BLOCK: usize = 1 << 20;
const STEP: u64 = 1 << 20;

/// Of one block.
pub(crate) type Block = [u8; SHA256_OUTPUT_LEN];

/// Who may know what is in a whole block, by where it begins and its bytes, without a digest being made of them.
pub(crate) type Knows<'a> = &'a (dyn Fn(u64, &[u8]) -> Option<Block> + Sync);

/// `sha256:…`, of some bytes.
pub(crate) fn named(bytes: &[u8]) -> String {
    format!("sha256:{}", Digest::of(bytes).text())
}

/// Of one block.
pub(crate) fn block(bytes: &[u8]) -> Block {
    let mut block = [0; SHA256_OUTPUT_LEN];
    let made = digest(&SHA256, bytes);
    // It is as long by its type.
    block
        .iter_mut()
        .zip(made.as_ref())
        .for_each(|(to, from)| *to = *from);
    block
}

/// What was read of a file.
#[derive(Clone, Default)]
pub(super) struct Hashed {
    /// Of whole blocks from its beginning on; none where it is to be read again.
    blocks: Vec<Option<Block>>,
    /// What follows them: how many bytes, and their digest.
    tail: Option<(u64, Block)>,
}

impl Hashed {
    fn whole(&self) -> u64 {
        u64::try_from(self.blocks.len())
            .unwrap_or(u64::MAX)
            .saturating_mul(STEP)
    }

    /// How far it was read, ever.
    pub(super) fn bytes(&self) -> u64 {
        let tail = self.tail.map_or(0, |(bytes, _)| bytes);
        self.whole().saturating_add(tail)
    }

    /// Nothing of that has to be read again.
    pub(super) fn is_all_known(&self) -> bool {
        self.blocks.iter().all(Option::is_some)
    }

    /// These bytes are others now.
    pub(super) fn forget(&mut self, bytes: Range<u64>) {
        let first = bytes.start / STEP;
        let after = bytes.end.div_ceil(STEP);
        let [first, after] =
            [first, after].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let blocks = self.blocks.len();
        for block in self.blocks.iter_mut().take(after).skip(first) {
            *block = None;
        }
        if after > blocks {
            self.tail = None;
        }
    }

    /// The file ends here now.
    pub(super) fn cut(&mut self, length: u64) {
        if length < self.bytes() {
            let whole = usize::try_from(length / STEP).unwrap_or(usize::MAX);
            self.blocks.truncate(whole);
            self.tail = None;
        }
    }

    /// Reads what is not known, to the end that there is now.
    pub(super) fn read_on(&mut self, file: &File, knows: Knows<'_>) -> std::io::Result<()> {
        let mut piece = Vec::new();
        let mut number = 0_usize;
        loop {
            let offset = u64::try_from(number)
                .unwrap_or(u64::MAX)
                .saturating_mul(STEP);
            if matches!(self.blocks.get(number), Some(Some(_))) {
                number = number.saturating_add(1);
                continue;
            }
            let ends_here = self.tail.map(|(bytes, _)| offset.saturating_add(bytes));
            if number == self.blocks.len() && ends_here == Some(file.metadata()?.len()) {
                return Ok(());
            }
            piece.resize(BLOCK, 0);
            let read = fill(file, &mut piece, offset)?;
            let bytes = piece.get(..read).unwrap_or_default();
            if read < BLOCK {
                self.blocks.truncate(number);
                let length = u64::try_from(read).unwrap_or_default();
                self.tail = (read > 0).then(|| (length, block(bytes)));
                return Ok(());
            }
            let digest = knows(offset, bytes).unwrap_or_else(|| block(bytes));
            match self.blocks.get_mut(number) {
                Some(former) => *former = Some(digest),
                None => self.blocks.push(Some(digest)),
            }
            if number.saturating_add(1) == self.blocks.len() {
                self.tail = None;
            }
            number = number.saturating_add(1);
        }
    }

    /// Of all of it, as far as it was read.
    pub(super) fn note(&self, path: String) -> FileNote {
        let mut all = self
            .blocks
            .iter()
            .flatten()
            .chain(self.tail.as_ref().map(|(_, tail)| tail));
        let sha256 = match (all.next(), all.next()) {
            (None, _) => Digest::of(b""),
            (Some(only), None) => Digest::digits(only),
            (Some(_), Some(_)) => {
                let mut over = Context::new(&SHA256);
                self.blocks
                    .iter()
                    .flatten()
                    .for_each(|block| over.update(block));
                self.tail.iter().for_each(|(_, tail)| over.update(tail));
                Digest::made(&over.finish())
            }
        };
        FileNote {
            path,
            bytes: i64::try_from(self.bytes()).unwrap_or(i64::MAX),
            sha256: sha256.text().to_owned(),
        }
    }
}

/// What is read, to its end.
pub(super) fn noted(from: &mut impl Read, path: String) -> std::io::Result<FileNote> {
    let mut hashed = Hashed::default();
    let mut piece = Vec::with_capacity(BLOCK);
    loop {
        piece.clear();
        let read = from.by_ref().take(STEP).read_to_end(&mut piece)?;
        if read == BLOCK {
            hashed.blocks.push(Some(block(&piece)));
            continue;
        }
        let length = u64::try_from(read).unwrap_or_default();
        hashed.tail = (read > 0).then(|| (length, block(&piece)));
        return Ok(hashed.note(path));
    }
}

/// As much as there is from here on, up to all of the piece.
pub(crate) fn fill(file: &File, piece: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut filled = 0_usize;
    while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(filled).unwrap_or_default());
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder::Folder;

    fn of(content: &[u8]) -> FileNote {
        noted(&mut &content[..], "f".into()).unwrap()
    }

    fn nobody(_: u64, _: &[u8]) -> Option<Block> {
        None
    }

    #[test]
    fn a_small_file_has_the_digest_that_everybody_gives_it_and_a_large_one_that_of_its_blocks() {
        for length in [0, 1, BLOCK] {
            let content = vec![7; length];
            assert_eq!(of(&content).sha256, Digest::of(&content).text(), "{length}");
        }
        let content = [vec![1; BLOCK], vec![2; BLOCK], vec![3; 5]].concat();
        let blocks = content.chunks(BLOCK).flat_map(block).collect::<Vec<_>>();
        assert_eq!(of(&content).sha256, Digest::of(&blocks).text());
        assert_eq!(of(&content).bytes, i64::try_from(content.len()).unwrap());
    }

    #[test]
    fn what_changes_is_read_again_and_nothing_else() {
        const NONE: [u64; 0] = [];
        let folder = Folder::new();
        let path = folder.path().join("f");
        let mut content = [vec![1; BLOCK], vec![2; BLOCK], vec![3; BLOCK], vec![4; 9]].concat();
        let mut hashed = Hashed::default();
        let mut read_on = |content: &[u8], change: &dyn Fn(&mut Hashed)| {
            std::fs::write(&path, content).unwrap();
            change(&mut hashed);
            let asked = std::sync::Mutex::new(Vec::new());
            let knows = |offset, _: &[u8]| {
                asked.lock().unwrap().push(offset);
                None
            };
            hashed.read_on(&File::open(&path).unwrap(), &knows).unwrap();
            assert_eq!(hashed.note("f".into()), of(content));
            asked.into_inner().unwrap()
        };
        assert_eq!(read_on(&content, &|_| ()), [0, STEP, 2 * STEP]);
        assert_eq!(read_on(&content, &|_| ()), NONE);
        content[BLOCK + 5] = 9;
        assert_eq!(
            read_on(&content, &|hashed| hashed.forget(STEP + 5..STEP + 6)),
            [STEP]
        );
        let end = content.len();
        content[end - 1] = 9;
        assert_eq!(
            read_on(&content, &|hashed| hashed
                .forget(3 * STEP + 8..3 * STEP + 9)),
            NONE
        );
        content.truncate(BLOCK + 3);
        assert_eq!(read_on(&content, &|hashed| hashed.cut(STEP + 3)), NONE);
        content.truncate(2);
        assert_eq!(read_on(&content, &|hashed| hashed.cut(2)), NONE);
        content.resize(2 * BLOCK, 5);
        assert_eq!(read_on(&content, &|hashed| hashed.forget(0..2)), [0, STEP]);
    }

    #[test]
    fn who_knows_a_block_is_believed() {
        let folder = Folder::new();
        let path = folder.path().join("f");
        std::fs::write(&path, vec![1; BLOCK + 1]).unwrap();
        let mut hashed = Hashed::default();
        let file = File::open(&path).unwrap();
        hashed.read_on(&file, &|_, _| Some([8; 32])).unwrap();
        assert_eq!(hashed.blocks, [Some([8; 32])]);
        let mut anew = Hashed::default();
        anew.read_on(&file, &nobody).unwrap();
        assert_ne!(anew.note("f".into()), hashed.note("f".into()));
    }
}
