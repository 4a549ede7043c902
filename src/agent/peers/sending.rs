//! A generation on its way to another node. It may be begun while the dump goes on: what is there is sent, file by file, and each from
//! where it was sent before, also while it grows; the manifest ends it. A connection that is cut costs what was on it: the receiver says
//! what it has, with digests, and it goes on from there.

mod reading;
mod whole;

use crate::agent::blocking::{blocking, joined};
use crate::agent::marks::Mark;
use crate::agent::peers::desk::NO_ROOM;
use crate::agent::peers::path::Below;
use crate::agent::peers::stream::Packer;
use crate::agent::peers::way::{Failure, Way};
use crate::agent::peers::wire::{self, Ended, Held, Received, Which};
use crate::agent::store::foretold::Foretold;
use crate::agent::store::{Generation, Noted, as_here, growing};
pub(super) use reading::body;
use reading::{Part, read};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use whole::Sending;

/// What is read and not sent yet, in pieces.
pub(super) const WAITING: usize = 4;
/// What is sent at once.
const PART: usize = 64 << 10;
/// For an answer, besides what its bytes take: the receiver reads them again, from a slow disk.
const ANSWER: Duration = Duration::from_secs(30);
const SLOWEST: u64 = 8 << 20;
/// No transfer of one question takes longer, however slow; it goes on with the next one.
const LONGEST: Duration = Duration::from_secs(3600);
/// Without any progress so often, it is given up.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);
const FILES_AT_ONCE: usize = 256;
/// So much of a file that grows is sent at once; the rest when it grows no more.
const GROWN: u64 = 1 << 20;
/// How often it is looked at how far it has grown.
const LOOK: Duration = Duration::from_millis(5);

/// How a shipment begins.
pub(crate) enum Begun {
    /// All of it is there already, and verified: its manifest's digest.
    Verified(String),
    /// There is something to send.
    Shipment(Shipment),
}

/// A generation that is being sent.
pub(crate) struct Shipment {
    which: Which,
    /// Where its files are, as this process sees it.
    folder: PathBuf,
    /// How much of each file is there.
    sent: BTreeMap<String, u64>,
    /// What makes pieces: it knows where there is noise.
    packer: Option<Packer>,
    /// What was sent of files before they were written.
    foretold: Option<Arc<Foretold>>,
}

/// What came of a whole shipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Of its manifest: the receiver has read all of it again.
    pub(crate) digest: String,
    /// How many bytes of files were sent for it now, before they were compressed.
    pub(crate) bytes: u64,
}

impl Shipment {
    /// Asks the receiver what it has. Beginnings of files that are as ours are not sent again.
    ///
    /// # Errors
    /// It does not answer, or says no.
    pub(crate) async fn begin(
        way: &mut Way,
        operation: &str,
        generation: &str,
        folder: PathBuf,
    ) -> Result<Begun, Failure> {
        let which = Which {
            operation: operation.to_owned(),
            generation: generation.to_owned(),
        };
        // It reads all that it has.
        let held: Held = way.ask(wire::HELD, &which, LONGEST).await?;
        if let Some(digest) = held.verified {
            return Ok(Begun::Verified(digest));
        }
        let at = folder.clone();
        let same = blocking(move || as_here(&at, held.files)).await;
        let same = same.map_err(|failure| Failure::Ours(failure.to_string()))?;
        let sent = same.into_iter().map(|note| {
            let bytes = u64::try_from(note.bytes).unwrap_or_default();
            (note.path, bytes)
        });
        Ok(Begun::Shipment(Self {
            which,
            sent: sent.collect(),
            folder,
            packer: None,
            foretold: None,
        }))
    }

    /// What the receiver has is what it was sent by us, before there was any file.
    fn goes_on(
        (operation, generation): (&str, &str),
        folder: PathBuf,
        foretold: Arc<Foretold>,
    ) -> Self {
        Self {
            which: Which {
                operation: operation.to_owned(),
                generation: generation.to_owned(),
            },
            folder,
            sent: BTreeMap::new(),
            packer: None,
            foretold: Some(foretold),
        }
    }

    /// What is to be sent of files that only grow, where it is so much; of those that grow no more, all of it.
    async fn grown(&self, is_last: bool) -> Result<Vec<(String, Part)>, Failure> {
        let folder = self.folder.clone();
        let found = blocking(move || growing(&folder)).await;
        let found = found.map_err(|failure| Failure::Ours(failure.to_string()))?;
        let least = if is_last { 1 } else { GROWN };
        let mut wanted = Vec::new();
        for (path, length) in found {
            let sent = self.sent.get(&path).copied();
            let foretold = self.foretold.as_ref().filter(|all| all.is_about(&path));
            let Some(foretold) = foretold else {
                let sent = sent.unwrap_or_default();
                if length.saturating_sub(sent) >= least {
                    wanted.push((path, Part::Rest(sent)));
                }
                continue;
            };
            let is_there = is_last && sent == Some(length);
            if is_there || !is_last && foretold.waiting(&path) < least {
                continue;
            }
            let came = foretold.take(&path).unwrap_or_default();
            wanted.push((path.clone(), Part::Only(came.differs, came.upto)));
            if is_last {
                // The guess may have been longer.
                wanted.push((path, Part::Rest(came.upto)));
            }
        }
        Ok(wanted)
    }

    /// What the receiver lacks of these files.
    fn rests(&self, paths: &[String]) -> Vec<(String, Part)> {
        let rest = |path: &String| {
            let sent = self.sent.get(path).copied().unwrap_or_default();
            (path.clone(), Part::Rest(sent))
        };
        paths.iter().map(rest).collect()
    }

    /// Sends what the receiver lacks of these files, as they are now. How many bytes that were.
    ///
    /// # Errors
    /// As `carry_parts`.
    pub(crate) async fn carry(&mut self, way: &mut Way, files: &[String]) -> Result<u64, Failure> {
        self.carry_parts(way, self.rests(files)).await
    }

    /// Sends these parts of files, as they are now. How many bytes that were.
    ///
    /// # Errors
    /// It does not answer, or says no: then this shipment is over, and another one begins. Or a file cannot be read.
    async fn carry_parts(
        &mut self,
        way: &mut Way,
        parts: Vec<(String, Part)>,
    ) -> Result<u64, Failure> {
        let name = self.which.generation.clone();
        let _mark = Mark::begin("send files", &name);
        let mut wanted = Vec::new();
        for (path, part) in parts {
            wanted.push((Below::try_from(path).map_err(Failure::Ours)?, part));
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        let (which, folder) = (self.which.clone(), self.folder.clone());
        let packer = self.packer.take().map_or_else(Packer::new, Ok);
        let mut packer = packer.map_err(|error| Failure::Ours(error.to_string()))?;
        let reading = tokio::task::spawn_blocking(move || {
            let read = read(&which, &folder, wanted, &sender, &mut packer);
            (packer, read)
        });
        let told =
            way.tell::<Received>(wire::FILES, body(receiver, Arc::clone(&way.pace)), LONGEST);
        let told = told.await;
        // It ends by itself when nobody takes what it reads.
        let (packer, read) = joined(reading.await);
        self.packer = Some(packer);
        let carried = match (told, read) {
            // Our own disk first: what the receiver says follows from it.
            (_, Err(why)) => return Err(Failure::Ours(why)),
            (Err(failure), _) => return Err(failure),
            (Ok(_), Ok(carried)) => carried,
        };
        let mut bytes = 0_u64;
        for part in carried {
            bytes = bytes.saturating_add(part.bytes);
            self.sent.insert(part.path, part.upto);
        }
        Ok(bytes)
    }

    /// The manifest, byte for byte; the receiver reads all files again. Those that are not as it says are to be sent once more.
    ///
    /// # Errors
    /// It does not answer, or says no.
    pub(crate) async fn end(&mut self, way: &mut Way, manifest: &[u8]) -> Result<Ended, Failure> {
        let name = self.which.generation.clone();
        let _mark = Mark::begin("send the manifest, and it is read again there", &name);
        let mut text = line(&self.which)?;
        text.extend_from_slice(manifest);
        let all: u64 = self.sent.values().sum();
        let takes = Duration::from_secs(all.checked_div(SLOWEST).unwrap_or_default());
        let limit = ANSWER.saturating_add(takes);
        let ended = way.ask_with(wire::END, text.into(), limit).await?;
        if let Ended::Wrong(files) = &ended {
            for path in files {
                self.sent.remove(path);
            }
        }
        Ok(ended)
    }
}

impl Way {
    /// Sends of a generation that is being dumped what only grows, as it grows; until it is over, and all of that is there.
    ///
    /// # Errors
    /// It does not answer, or says no, or something here cannot be read. Nothing is lost: it is sent when it is sealed.
    pub(crate) async fn send_ahead(
        &mut self,
        operation: &str,
        generation: &Generation,
        foretold: Option<Arc<Foretold>>,
        is_over: &CancellationToken,
    ) -> Result<Shipment, Failure> {
        let (name, folder) = (generation.name(), generation.part());
        if let Some(foretold) = foretold {
            let shipment = Shipment::goes_on((operation, name), folder.clone(), foretold);
            match self.send_growing(shipment, is_over).await {
                // It has lost what it had: all of it is sent.
                Err(Failure::Refused(code, why)) if code != NO_ROOM => {
                    tracing::debug!(operation, why, "what was sent before is of no use");
                }
                sent => return sent,
            }
        }
        match Shipment::begin(self, operation, name, folder).await? {
            Begun::Shipment(shipment) => self.send_growing(shipment, is_over).await,
            Begun::Verified(_) => {
                let why = "what is dumped here just now is there already".to_owned();
                Err(Failure::Ours(why))
            }
        }
    }

    async fn send_growing(
        &mut self,
        mut shipment: Shipment,
        is_over: &CancellationToken,
    ) -> Result<Shipment, Failure> {
        loop {
            let is_last = is_over.is_cancelled();
            let grown = shipment.grown(is_last).await?;
            if !grown.is_empty() {
                shipment.carry_parts(self, grown).await?;
            } else if is_last {
                return Ok(shipment);
            } else {
                // Over, or a look later: the same is done.
                let _either = tokio::time::timeout(LOOK, is_over.cancelled()).await;
            }
        }
    }

    /// Sends a whole generation that is sealed here, over as many connections as it takes, and ends when it is verified there.
    ///
    /// # Errors
    /// It does not answer for a while, or says no, or something here cannot be read.
    pub(crate) async fn send(
        &mut self,
        operation: &str,
        generation: &Generation,
    ) -> Result<Arrived, Failure> {
        let noted = generation.sealed();
        let noted = noted.map_err(|failure| Failure::Ours(failure.to_string()))?;
        self.send_on((operation, generation.name()), &noted, None)
            .await
    }

    /// The same of one that was noted: it may still be on its way to this node's disk, and may have been begun while it was dumped.
    ///
    /// # Errors
    /// As `send`.
    pub(crate) async fn send_on(
        &mut self,
        (operation, name): (&str, &str),
        (folder, manifest, text): &Noted,
        mut begun: Option<Shipment>,
    ) -> Result<Arrived, Failure> {
        let (mut bytes, mut reached, mut tries) = (0_u64, 0_u64, 0_u32);
        loop {
            let before = reached;
            let mut sent = Sending {
                begun: begun.take(),
                way: self,
                manifest,
                text,
                bytes: &mut bytes,
                reached: &mut reached,
            };
            let failure = match sent.try_once((operation, name), folder.clone()).await {
                Ok(digest) => return Ok(Arrived { digest, bytes }),
                Err(failure) => failure,
            };
            // A connection that was cut may not have been noticed there yet: that is a 409.
            let is_passing = matches!(failure, Failure::Away(_) | Failure::Refused(409, _));
            tries = if reached > before {
                0
            } else {
                tries.saturating_add(1)
            };
            if !is_passing || tries >= TRIES {
                return Err(failure);
            }
            tracing::debug!(operation, why = %failure, "a state is on its way once more");
            tokio::time::sleep(PAUSE.saturating_mul(1 << tries)).await;
        }
    }
}

pub(super) fn line(which: &Which) -> Result<Vec<u8>, Failure> {
    let mut line = serde_json::to_vec(which).map_err(|error| Failure::Ours(error.to_string()))?;
    line.push(b'\n');
    Ok(line)
}
