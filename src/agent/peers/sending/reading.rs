//! Files as they are read to be sent.

use super::{PART, line};
use crate::agent::peers::pace::Pace;
use crate::agent::peers::path::Below;
use crate::agent::peers::stream::{Begins, PIECE, Packer};
use crate::agent::peers::way::Sent;
use crate::agent::peers::wire::Which;
use crate::agent::store::digests::fill;
use crate::agent::store::opened;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What of a file is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// From here to its end, and it ends there.
    Rest(u64),
    /// These bytes; what else there is up to here is there.
    Only(Vec<Range<u64>>, u64),
}

/// A part of a file that was sent.
pub(super) struct Carried {
    pub(super) path: String,
    pub(super) bytes: u64,
    /// All up to here is there.
    pub(super) upto: u64,
}

/// Reads files and makes pieces of them, for as long as somebody takes them.
pub(super) fn read(
    which: &Which,
    folder: &std::path::Path,
    wanted: Vec<(Below, Part)>,
    to: &mpsc::Sender<Bytes>,
    packer: &mut Packer,
) -> Result<Vec<Carried>, String> {
    let first = line(which).map_err(|failure| failure.to_string())?;
    let mut all = Vec::new();
    if to.blocking_send(first.into()).is_err() {
        return Ok(all);
    }
    for (path, part) in wanted {
        let at = folder.join(path.text());
        let failed = |error: std::io::Error| format!("cannot read {}: {error}", at.display());
        let file = opened(folder, &path).map_err(failed)?;
        let rest = |offset| offset..u64::MAX;
        let (keeps, ranges) = match &part {
            Part::Rest(offset) => (false, Vec::from([rest(*offset)])),
            Part::Only(ranges, _) => (true, ranges.clone()),
        };
        let mut carried = Carried {
            path: path.text().to_owned(),
            bytes: 0,
            upto: 0,
        };
        for range in ranges {
            let begins = Begins {
                path: path.clone(),
                offset: range.start,
                keeps,
            };
            let ended = send(&file, (begins, range.end), to, packer).map_err(failed)?;
            let Some(ended) = ended else {
                return Ok(all);
            };
            let sent = ended.saturating_sub(range.start);
            carried.bytes = carried.bytes.saturating_add(sent);
            carried.upto = ended;
        }
        if let Part::Only(_, upto) = part {
            carried.upto = upto;
        }
        all.push(carried);
    }
    Ok(all)
}

/// Where it ended; nothing where nobody takes it any more.
fn send(
    file: &File,
    (begins, end): (Begins, u64),
    to: &mpsc::Sender<Bytes>,
    packer: &mut Packer,
) -> std::io::Result<Option<u64>> {
    let mut at = begins.offset;
    if to.blocking_send(Packer::file(&begins)).is_err() {
        return Ok(None);
    }
    let mut piece = vec![0; PIECE];
    loop {
        let wanted = usize::try_from(end.saturating_sub(at)).unwrap_or(PIECE);
        let room = piece.get_mut(..wanted.min(PIECE)).unwrap_or_default();
        let read = fill(file, room, at)?;
        if read == 0 {
            return Ok(Some(at));
        }
        at = at.saturating_add(u64::try_from(read).unwrap_or_default());
        let bytes = packer.data(piece.get(..read).unwrap_or_default());
        if to.blocking_send(bytes).is_err() {
            return Ok(None);
        }
    }
}

/// What is read, as it may be sent: in parts so small that none waits long for its turn, however slow the pace is.
pub(in crate::agent::peers) fn body(receiver: mpsc::Receiver<Bytes>, pace: Arc<Pace>) -> Sent {
    let begin = (receiver, pace, Bytes::new());
    let parts = futures::stream::unfold(begin, |(mut receiver, pace, mut rest)| async move {
        while rest.is_empty() {
            rest = receiver.recv().await?;
        }
        let part = rest.split_to(rest.len().min(PART));
        pace.take(part.len()).await;
        Some((
            Ok::<_, std::io::Error>(Frame::data(part)),
            (receiver, pace, rest),
        ))
    });
    StreamBody::new(parts).boxed_unsync()
}
