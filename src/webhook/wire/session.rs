//! TLS without a socket: bytes that came become text, and text becomes records.

use bytes::{Buf, BytesMut};
use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use std::io;
use std::mem;
use std::sync::Arc;
use tokio::io::ReadBuf;

/// The most that waits to become whole: a message of a handshake, such as a chain of certificates.
const MOST_WAITING: usize = 64 * 1024;

type Ready<'a> = WriteTraffic<'a, ServerConnectionData>;
type State<'c, 'i> = ConnectionState<'c, 'i, ServerConnectionData>;

/// One connection.
pub(in crate::webhook) struct Session {
    tls: UnbufferedServerConnection,
    /// Came, and is no whole record or message yet.
    came: BytesMut,
    /// Text that was not asked for yet.
    text: BytesMut,
    /// Records that were not sent yet.
    pub(in crate::webhook) unsent: BytesMut,
    over: Option<Over>,
}

/// Why nothing more is to be read.
enum Over {
    /// The client said so.
    Goodbye,
    Failed(rustls::Error),
}

/// What follows a step.
enum Then {
    Next,
    /// There was text; so there may be more, if there are more bytes.
    Text,
    Enough,
}

/// One step: what it makes goes here.
struct Step<'s, 'b, 't> {
    /// Where text was asked for.
    asked: &'s mut ReadBuf<'t>,
    text: &'s mut BytesMut,
    unsent: &'b mut BytesMut,
    discard: usize,
    has_ended: bool,
}

impl Session {
    pub(in crate::webhook) fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        Ok(Self {
            tls: UnbufferedServerConnection::new(config).map_err(io::Error::other)?,
            came: BytesMut::new(),
            text: BytesMut::new(),
            unsent: BytesMut::new(),
            over: None,
        })
    }

    pub(in crate::webhook) fn has_shaken(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// Whether the client said that nothing more comes.
    ///
    /// # Errors
    /// What came was wrong.
    pub(in crate::webhook) fn is_over(&self) -> io::Result<bool> {
        match &self.over {
            None => Ok(false),
            Some(Over::Goodbye) => Ok(true),
            Some(Over::Failed(error)) => Err(invalid(error.clone())),
        }
    }

    /// The memory that is kept: for what came, for text, and for what is to be sent.
    #[cfg(test)]
    pub(in crate::webhook) fn kept(&self) -> [usize; 3] {
        [&self.came, &self.text, &self.unsent].map(BytesMut::capacity)
    }

    /// Hands on text that came before it was asked for.
    pub(in crate::webhook) fn hand_on(&mut self, text: &mut ReadBuf<'_>) {
        if self.text.is_empty() {
            return;
        }
        let now = self.text.len().min(text.remaining());
        text.put_slice(self.text.get(..now).unwrap_or_default());
        self.text.advance(now);
        if self.text.is_empty() {
            self.text = BytesMut::new();
        }
    }

    /// Takes in bytes that came, and hands on the text in them as far as there is place for it.
    pub(in crate::webhook) fn receive(&mut self, bytes: &mut [u8], text: &mut ReadBuf<'_>) {
        if self.over.is_some() {
            return;
        }
        if self.came.is_empty() {
            let used = self.advance(bytes, text, |_| Ok(()));
            let rest = bytes.get(used..).unwrap_or_default();
            if !rest.is_empty() {
                self.came.extend_from_slice(rest);
            }
        } else {
            self.came.extend_from_slice(bytes);
            self.advance_waiting(text, |_| Ok(()));
        }
        if self.over.is_some() {
            self.came = BytesMut::new();
        } else if self.came.len() > MOST_WAITING {
            // The client gets no alert: to rustls nothing is wrong yet, so it has none to send.
            let why = "a message is longer than any that is taken";
            self.over = Some(Over::Failed(rustls::Error::General(why.into())));
        }
    }

    /// Makes a record of some text, in this space.
    pub(in crate::webhook) fn seal<'s>(
        &mut self,
        text: &[u8],
        space: &'s mut Vec<u8>,
    ) -> io::Result<&'s [u8]> {
        self.write(Some(text), space)
    }

    /// Makes the record that says that no more text follows; after a failure there is none.
    pub(in crate::webhook) fn seal_goodbye<'s>(
        &mut self,
        space: &'s mut Vec<u8>,
    ) -> io::Result<&'s [u8]> {
        if let Some(Over::Failed(_)) = self.over {
            return Ok(&[]);
        }
        self.write(None, space)
    }

    /// A record of some text; without text, the goodbye.
    fn write<'s>(&mut self, text: Option<&[u8]>, space: &'s mut Vec<u8>) -> io::Result<&'s [u8]> {
        if let Some(Over::Failed(_)) = self.over {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let write = |ready: &mut Ready<'_>, space: &mut [u8]| match text {
            Some(text) => ready.encrypt(text, space),
            None => ready.queue_close_notify(space),
        };
        let mut written = None;
        self.advance_waiting(&mut ReadBuf::new(&mut []), |ready| {
            let length = match write(ready, space) {
                Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    space.resize(required_size, 0);
                    write(ready, space)
                }
                length => length,
            };
            written = Some(length.map_err(|error| rustls::Error::General(error.to_string()))?);
            Ok(())
        });
        written
            .and_then(|length| space.get(..length))
            .ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// Goes on with what waits to become whole: TLS wants to see it again each time.
    fn advance_waiting(
        &mut self,
        text: &mut ReadBuf<'_>,
        ready: impl FnMut(&mut Ready<'_>) -> Result<(), rustls::Error>,
    ) {
        let mut came = mem::take(&mut self.came);
        let used = self.advance(&mut came, text, ready);
        if used < came.len() {
            came.advance(used);
            self.came = came;
        }
    }

    /// Goes on as far as these bytes go, and returns how many of them are done with. `ready` is called when text may be written and
    /// there is nothing else to do.
    fn advance(
        &mut self,
        bytes: &mut [u8],
        text: &mut ReadBuf<'_>,
        mut ready: impl FnMut(&mut Ready<'_>) -> Result<(), rustls::Error>,
    ) -> usize {
        let mut used: usize = 0;
        loop {
            let rest = bytes.get_mut(used..).unwrap_or_default();
            let length = rest.len();
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(rest);
            let mut step = Step {
                asked: text,
                text: &mut self.text,
                unsent: &mut self.unsent,
                discard,
                has_ended: false,
            };
            let then = state.and_then(|state| step.take(state, &mut ready));
            let (discard, has_ended) = (step.discard, step.has_ended);
            used = used.saturating_add(discard);
            if has_ended {
                self.over = Some(Over::Goodbye);
            }
            match then {
                Ok(Then::Text) if discard >= length && !self.tls.wants_write() => return used,
                Ok(Then::Next | Then::Text) => {}
                Ok(Then::Enough) => return used,
                Err(error) => {
                    self.tell(bytes.get_mut(used..).unwrap_or_default());
                    self.over = Some(Over::Failed(error));
                    return used;
                }
            }
        }
    }

    /// Makes the alert for a failure. What has failed must not be gone on with: only what is ready to be sent is asked for.
    fn tell(&mut self, rest: &mut [u8]) {
        while self.tls.wants_write() {
            let state = self.tls.process_tls_records(rest).state;
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else {
                return;
            };
            if encode(&mut data, &mut self.unsent).is_err() {
                return;
            }
        }
    }
}

impl Step<'_, '_, '_> {
    fn take(
        &mut self,
        state: State<'_, '_>,
        ready: &mut impl FnMut(&mut Ready<'_>) -> Result<(), rustls::Error>,
    ) -> Result<Then, rustls::Error> {
        match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    self.discard = self.discard.saturating_add(record.discard);
                    self.hand_on(record.payload);
                }
                Ok(Then::Text)
            }
            ConnectionState::EncodeTlsData(mut data) => {
                encode(&mut data, self.unsent)?;
                Ok(Then::Next)
            }
            ConnectionState::TransmitTlsData(data) => {
                // It waits in its turn.
                data.done();
                Ok(Then::Next)
            }
            ConnectionState::PeerClosed => {
                self.has_ended = true;
                Ok(Then::Next)
            }
            ConnectionState::WriteTraffic(mut traffic) => {
                ready(&mut traffic)?;
                Ok(Then::Enough)
            }
            ConnectionState::BlockedHandshake | ConnectionState::Closed => Ok(Then::Enough),
            _ => Err(rustls::Error::General(
                "text before the handshake was never offered".into(),
            )),
        }
    }

    fn hand_on(&mut self, text: &[u8]) {
        // What came before goes first.
        let place = if self.text.is_empty() {
            self.asked.remaining()
        } else {
            0
        };
        let (now, later) = text.split_at(text.len().min(place));
        self.asked.put_slice(now);
        if !later.is_empty() {
            self.text.extend_from_slice(later);
        }
    }
}

/// Puts what TLS itself says behind what is to be sent.
fn encode(
    data: &mut EncodeTlsData<'_, ServerConnectionData>,
    unsent: &mut BytesMut,
) -> Result<(), rustls::Error> {
    let length = match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
            required_size
        }
        // There was nothing to be said.
        Ok(_) | Err(EncodeError::AlreadyEncoded) => return Ok(()),
    };
    let begin = unsent.len();
    unsent.resize(begin.saturating_add(length), 0);
    let place = unsent.get_mut(begin..).unwrap_or_default();
    let encoded = data.encode(place);
    encoded.map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(())
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
