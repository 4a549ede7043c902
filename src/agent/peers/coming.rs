//! The body of a question, as it comes: never much of it in memory, and never for ever.

use crate::agent::peers::desk::Refusal;
use crate::agent::peers::wire::LONGEST_QUESTION;
use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A body that says nothing for so long is given up; a disk may make its sender wait.
const SILENCE: Duration = Duration::from_secs(30);
/// So is one that is waited for so long, all in all, ...
const LONGEST: Duration = Duration::from_secs(3600);
/// ... and one of which less comes than this in so long: a sender that reads nothing but noughts from a slow disk sends more.
const LEAST: usize = 4096;
const WHILE: Duration = Duration::from_secs(60);
/// What is read of a body that is not wanted any more, so that the answer is heard.
const DRAIN: Duration = Duration::from_secs(2);

/// A body, as it comes.
pub(super) struct Coming<B> {
    body: B,
    /// What came with the last part and was not taken.
    rest: Bytes,
    /// How long it was waited for.
    waited: Duration,
    /// Since then it is counted what came, ...
    since: Duration,
    /// ... so many bytes.
    came: usize,
}

impl<B> Coming<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    /// This body.
    pub(super) fn new(body: B) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            waited: Duration::ZERO,
            since: Duration::ZERO,
            came: 0,
        }
    }

    /// The next part of it; nothing after its orderly end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        loop {
            let began = Instant::now();
            let frame = timeout(SILENCE, self.body.frame()).await;
            let frame = frame
                .map_err(|_elapsed| Refusal::Unfit(format!("nothing came for {SILENCE:?}")))?;
            self.waited = self.waited.saturating_add(began.elapsed());
            match frame.transpose() {
                Ok(Some(frame)) => {
                    let bytes = frame.into_data().unwrap_or_default();
                    self.count(bytes.len())?;
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
                Ok(None) => return Ok(None),
                Err(error) => return Err(Refusal::Unfit(format!("the body was cut off: {error}"))),
            }
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.came = self.came.saturating_add(bytes);
        if self.waited > LONGEST {
            return Err(Refusal::Unfit(format!("it takes longer than {LONGEST:?}")));
        }
        if self.waited.saturating_sub(self.since) >= WHILE {
            if self.came < LEAST {
                return Err(Refusal::Unfit(format!(
                    "less than {LEAST} bytes came in {WHILE:?}"
                )));
            }
            (self.since, self.came) = (self.waited, 0);
        }
        Ok(())
    }

    /// All of it, up to so many bytes.
    pub(super) async fn all(&mut self, most: usize) -> Result<Bytes, Refusal> {
        let mut all = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if all.len().saturating_add(bytes.len()) > most {
                return Err(Refusal::TooMuch(format!("it has more than {most} bytes")));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }

    /// Its first line, which may be all of it.
    pub(super) async fn line(&mut self) -> Result<Bytes, Refusal> {
        let mut line = BytesMut::new();
        while let Some(mut bytes) = self.next().await? {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = bytes.split_to(end.unwrap_or(bytes.len()));
            line.extend_from_slice(&part);
            if line.len() > LONGEST_QUESTION {
                return Err(Refusal::TooMuch(format!(
                    "its first line has more than {LONGEST_QUESTION} bytes"
                )));
            }
            if end.is_some() {
                bytes.advance(1);
                self.rest = bytes;
                break;
            }
        }
        Ok(line.freeze())
    }

    /// Nobody wants the rest.
    pub(super) async fn drain(&mut self) {
        let rest = async { while let Ok(Some(_)) = self.next().await {} };
        // Who does not end by then does not hear the answer.
        let _drained = timeout(DRAIN, rest).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use std::convert::Infallible;

    /// So many bytes, so often, for ever.
    async fn refused(bytes: usize, every: Duration) -> (String, Duration) {
        let drips = futures::stream::unfold((), move |()| async move {
            tokio::time::sleep(every).await;
            let frame = Frame::data(Bytes::from(vec![0; bytes]));
            Some((Ok::<_, Infallible>(frame), ()))
        });
        let mut coming = Coming::new(StreamBody::new(Box::pin(drips)));
        let began = Instant::now();
        loop {
            if let Err(refusal) = coming.next().await {
                return (refusal.to_string(), began.elapsed());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_comes_for_ever() {
        let (why, after) = refused(1, Duration::from_secs(20)).await;
        assert!(why.contains("less than 4096 bytes"), "{why}");
        assert_eq!(after, Duration::from_secs(60));
        let (why, after) = refused(1000, Duration::from_secs(10)).await;
        assert!(why.contains("longer than"), "{why}");
        assert_eq!(after, Duration::from_secs(3610));
        let (why, _) = refused(1, Duration::from_secs(31)).await;
        assert!(why.contains("nothing came"), "{why}");
    }
}
