//! One try to send a whole generation.

use super::{Begun, FILES_AT_ONCE, Shipment};
use crate::agent::peers::way::{Failure, Way};
use crate::agent::peers::wire::Ended;
use crate::agent::store::digest;
use crate::agent::store::manifest::{FileNote, Manifest};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// One try of a whole generation.
pub(super) struct Sending<'a> {
    /// What was begun while it was dumped.
    pub(super) begun: Option<Shipment>,
    pub(super) way: &'a mut Way,
    pub(super) manifest: &'a Manifest,
    pub(super) text: &'a [u8],
    pub(super) bytes: &'a mut u64,
    /// The most that the receiver ever had.
    pub(super) reached: &'a mut u64,
}

impl Sending<'_> {
    pub(super) async fn try_once(
        &mut self,
        (operation, name): (&str, &str),
        folder: PathBuf,
    ) -> Result<String, Failure> {
        let mut shipment = match self.begun.take() {
            Some(begun) => Shipment { folder, ..begun },
            None => match Shipment::begin(self.way, operation, name, folder).await? {
                Begun::Verified(digest) => return self.ours(digest),
                Begun::Shipment(shipment) => shipment,
            },
        };
        self.count(&shipment, 0);
        let all = self.manifest.files.iter();
        let is_there = |shipment: &Shipment, note: &FileNote| {
            let sent = shipment.sent.get(&note.path);
            sent.is_some_and(|sent| i64::try_from(*sent) == Ok(note.bytes))
        };
        let lacks: Vec<_> = all.filter(|note| !is_there(&shipment, note)).collect();
        // Some files a question: what has come of those before is not in doubt.
        for some in lacks.chunks(FILES_AT_ONCE) {
            let paths: Vec<_> = some.iter().map(|note| note.path.clone()).collect();
            let carried = shipment.carry(self.way, &paths).await?;
            self.count(&shipment, carried);
        }
        let Some(wrong) = self.end(&mut shipment).await? else {
            return Ok(digest(self.text));
        };
        // It says which, and we say what is one.
        let wrong: BTreeSet<_> = wrong.into_iter().collect();
        let all = self.manifest.files.iter().map(|note| &note.path);
        let wrong: Vec<_> = all.filter(|path| wrong.contains(*path)).cloned().collect();
        if wrong.is_empty() {
            return Err(Failure::Ours(format!(
                "the agent of node {} asks for files that this state does not have",
                self.way.node()
            )));
        }
        let carried = shipment.carry(self.way, &wrong).await?;
        self.count(&shipment, carried);
        match self.end(&mut shipment).await? {
            None => Ok(digest(self.text)),
            Some(files) => Err(Failure::Ours(format!(
                "what is on this node's disk is not what its manifest says, or something between the nodes changes it: {}",
                files.join(", ")
            ))),
        }
    }

    /// What is not as the manifest says; nothing where all of it is, and it was this very manifest.
    async fn end(&mut self, shipment: &mut Shipment) -> Result<Option<Vec<String>>, Failure> {
        match shipment.end(self.way, self.text).await? {
            Ended::Verified(there) => self.ours(there).map(|_digest| None),
            Ended::Wrong(files) => Ok(Some(files)),
        }
    }

    /// The digest, if what is verified there is what is here.
    fn ours(&self, there: String) -> Result<String, Failure> {
        let here = digest(self.text);
        if there == here {
            return Ok(here);
        }
        Err(Failure::Ours(format!(
            "the agent of node {} has verified a state with digest {there:?}, and the one that is here has {here}",
            self.way.node()
        )))
    }

    fn count(&mut self, shipment: &Shipment, carried: u64) {
        *self.bytes = self.bytes.saturating_add(carried);
        *self.reached = shipment.sent.values().sum::<u64>().max(*self.reached);
    }
}
