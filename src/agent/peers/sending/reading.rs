//! Files as they are read to be sent.

use super::{PART, line};
use crate::agent::peers::pace::Pace;
use crate::agent::peers::path::Below;
use crate::agent::peers::stream::{Begins, PIECE, Packer};
use crate::agent::peers::way::Sent;
use crate::agent::peers::wire::Which;
use crate::agent::store::opened;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Reads files and makes pieces of them, for as long as somebody takes them. From where to where each was read.
pub(super) fn read(
    which: &Which,
    folder: &std::path::Path,
    wanted: Vec<(Below, u64)>,
    to: &mpsc::Sender<Bytes>,
    packer: &mut Packer,
) -> Result<Vec<(String, u64, u64)>, String> {
    let first = line(which).map_err(|failure| failure.to_string())?;
    let mut lengths = Vec::new();
    if to.blocking_send(first.into()).is_err() {
        return Ok(lengths);
    }
    let mut piece = vec![0; PIECE];
    for (path, offset) in wanted {
        let at = folder.join(path.text());
        let failed = |error: std::io::Error| format!("cannot read {}: {error}", at.display());
        let mut file = opened(folder, &path).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut length = offset;
        let name = path.text().to_owned();
        if to
            .blocking_send(Packer::file(&Begins { path, offset }))
            .is_err()
        {
            return Ok(lengths);
        }
        loop {
            let read = fill(&mut file, &mut piece).map_err(failed)?;
            if read == 0 {
                break;
            }
            length = length.saturating_add(u64::try_from(read).unwrap_or_default());
            let bytes = packer.data(piece.get(..read).unwrap_or_default());
            if to.blocking_send(bytes).is_err() {
                return Ok(lengths);
            }
        }
        lengths.push((name, offset, length));
    }
    Ok(lengths)
}

/// As much as there is, up to a piece.
fn fill(file: &mut File, piece: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0_usize;
    while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let read = file.read(rest)?;
        if read == 0 {
            break;
        }
        filled = filled.saturating_add(read);
    }
    Ok(filled)
}

/// What is read, as it may be sent: in parts so small that none waits long for its turn, however slow the pace is.
pub(super) fn body(receiver: mpsc::Receiver<Bytes>, pace: Arc<Pace>) -> Sent {
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
