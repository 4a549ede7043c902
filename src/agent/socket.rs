//! The socket that the runtime asks on: `agent.sock`, for root alone. A connection is one question.
//!
//! | who connects | then |
//! |---|---|
//! | somebody who is not root | it is closed |
//! | somebody who says nothing for 5 s, or more than 64 KiB | it is closed |
//! | more than 1,024 at once | the next wait to be taken |
//! | somebody who goes away | the question is forgotten |

use crate::agent::answers::{Answers, Teller};
use crate::kit::error::Error;
use crate::runtime::api::{LONGEST_LINE, Line, Question, VERSION};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How long somebody may take to ask.
const ASKING: Duration = Duration::from_secs(5);
/// How long somebody may take to read a line of an answer.
const TELLING: Duration = Duration::from_secs(5);
/// How many may be connected at once. A node has some hundred containers.
const SEATS: usize = 1024;
/// The pause after a connection that could not be taken, for example for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens at `agent.sock` in a directory. The socket appears there when it can be connected to, and replaces one that a former agent
/// left behind.
///
/// # Errors
/// The system says no.
pub(crate) fn listen(run: &Path) -> Result<UnixListener, Error> {
    let (aside, path) = (run.join("agent.sock.new"), run.join("agent.sock"));
    let bound = || -> io::Result<UnixListener> {
        match std::fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&aside)?;
        std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&aside, &path)?;
        Ok(listener)
    };
    bound().map_err(|error| Error::io("listen on", path.display().to_string(), error))
}

/// Answers until the stop. Whoever waits then loses the connection, and asks the next agent.
pub(crate) async fn serve(listener: UnixListener, answers: Arc<Answers>, stop: CancellationToken) {
    let seats = Arc::new(Semaphore::new(SEATS));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
            return;
        };
        let taken = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            taken = listener.accept() => taken,
        };
        match taken {
            Ok((stream, _)) => {
                let (answers, stop) = (Arc::clone(&answers), stop.clone());
                tokio::spawn(async move {
                    let _seat = seat;
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = attend(stream, &answers) => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection of the runtime could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn attend(stream: UnixStream, answers: &Answers) {
    let peer = match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 => peer,
        Ok(peer) => {
            tracing::warn!(
                uid = peer.uid(),
                "somebody who is not root asked, and was sent away"
            );
            return;
        }
        Err(error) => {
            tracing::warn!(%error, "it is not known who asked");
            return;
        }
    };
    let (reading, writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    let mut told = Told(writing);
    let question = match tokio::time::timeout(ASKING, ask(&mut reading)).await {
        Ok(Ok(question)) => question,
        Ok(Err(why)) => {
            tracing::warn!(%why, "a question of the runtime was not understood");
            return;
        }
        Err(_elapsed) => return,
    };
    let gone = async {
        // Whoever asked says nothing more: only the end can come.
        let mut rest = [0_u8; 64];
        while matches!(reading.read(&mut rest).await, Ok(read) if read > 0) {}
    };
    tokio::select! {
        biased;
        () = gone => {}
        outcome = answers.answer(question, peer.pid(), &mut told) => {
            if let Err(error) = outcome {
                tracing::debug!(%error, "whoever asked went away before the answer");
            }
        }
    }
}

async fn ask(reading: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Question> {
    let most = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    reading.take(most).read_until(b'\n', &mut line).await?;
    let question: Question = serde_json::from_slice(&line)?;
    if question.version != VERSION {
        let why = format!(
            "it has version {}, and this agent knows {VERSION}",
            question.version
        );
        return Err(io::Error::other(why));
    }
    Ok(question)
}

/// Lines go to whoever asked.
struct Told(OwnedWriteHalf);

impl Teller for Told {
    async fn tell(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        tokio::time::timeout(TELLING, self.0.write_all(&text))
            .await
            .map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

#[cfg(test)]
mod tests;
