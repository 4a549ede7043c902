//! Files of a state as they come, one after the other.

use super::{STRIDE, Turn, failed};
use crate::agent::peers::desk::Refusal;
use crate::agent::peers::stream::{Begins, Item, Unpacker};
use crate::agent::store::incoming::{Arriving, MOST_FILES};
use crate::oci::failure::Failure;
use std::io::{ErrorKind, Write};

/// Files, one after the other.
pub(super) struct Writer<'a> {
    turn: &'a Turn,
    unpacker: Unpacker,
    file: Option<(String, Arriving)>,
    files: usize,
    /// Of all files that are here.
    all: u64,
    /// Those that were written over, ...
    rewritten: u64,
    /// ... all that came, ...
    bytes: u64,
    /// ... and of them those since somebody was told to read them again.
    unread: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn begin(turn: &'a Turn) -> Result<Self, Refusal> {
        let unpacker = Unpacker::new();
        let (files, all) = turn.generation.count_arrived().map_err(failed)?;
        Ok(Self {
            turn,
            unpacker: unpacker.map_err(|error| Refusal::Failed(error.to_string()))?,
            file: None,
            files,
            all,
            rewritten: 0,
            bytes: 0,
            unread: 0,
        })
    }

    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.unpacker.push(bytes);
        while let Some(item) = self.unpacker.next().map_err(Refusal::Unexpected)? {
            match item {
                Item::File(begins) => self.begin_file(begins)?,
                Item::Data(bytes) => self.write(&bytes)?,
            }
        }
        Ok(())
    }

    fn begin_file(&mut self, begins: Begins) -> Result<(), Refusal> {
        let Begins {
            path,
            offset,
            keeps,
        } = begins;
        // What goes on within a file is no other one.
        if !keeps || offset == 0 {
            self.files = self.files.saturating_add(1);
        }
        if self.files > MOST_FILES {
            let why = format!("there are more than {MOST_FILES} files");
            return Err(Refusal::TooMuch(why));
        }
        let arriving = self.turn.generation.arriving(&path, (offset, keeps));
        let arriving = arriving.map_err(full_or_failed)?.ok_or_else(|| {
            Refusal::Unfit(format!(
                "{} is shorter here than {offset} bytes: ask again what is here",
                path.text()
            ))
        })?;
        self.all = self.all.saturating_sub(arriving.cut);
        if arriving.cut > 0 || arriving.length == 0 {
            self.turn.early.ends(path.text(), arriving.length);
        }
        self.file = Some((path.text().to_owned(), arriving));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let Some((path, arriving)) = &mut self.file else {
            return Err(Refusal::Unexpected(
                "bytes came before the name of their file".into(),
            ));
        };
        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let (begins, ends) = (arriving.at, arriving.at.saturating_add(more));
        let grows = ends.saturating_sub(arriving.length);
        self.bytes = self.bytes.saturating_add(more);
        self.all = self.all.saturating_add(grows);
        if let Some(most) = self.turn.expected.at_most.filter(|most| self.all > *most) {
            return Err(Refusal::TooMuch(format!(
                "more than {most} bytes came, and no more were announced"
            )));
        }
        self.rewritten = self.rewritten.saturating_add(more.saturating_sub(grows));
        if self.rewritten > self.all {
            return Err(Refusal::Unexpected(
                "more is written over than there is".into(),
            ));
        }
        let written = arriving.file.write_all(bytes);
        if begins < arriving.length {
            // Whoever reads meanwhile may have read both: it is read again.
            self.turn.early.changes(path, begins..ends);
        }
        written.map_err(|error| {
            let why = format!("cannot write what comes: {error}");
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Refusal::Full(why),
                _ => Refusal::Failed(why),
            }
        })?;
        arriving.at = ends;
        arriving.length = arriving.length.max(ends);
        self.unread = self.unread.saturating_add(more);
        if self.unread >= STRIDE {
            self.unread = 0;
            self.turn.goes_on();
        }
        Ok(())
    }

    pub(super) fn end(self) -> Result<u64, Refusal> {
        if self.unpacker.is_empty() {
            Ok(self.bytes)
        } else {
            Err(Refusal::Unexpected("it ended within a piece".into()))
        }
    }
}

/// To make a folder or a file takes room too.
fn full_or_failed(failure: Failure) -> Refusal {
    let why = failure.to_string();
    let full = rustix::io::Errno::NOSPC.to_string();
    if why.contains(&full) {
        Refusal::Full(why)
    } else {
        Refusal::Failed(why)
    }
}
