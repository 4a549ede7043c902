//! A quick reader of JSON as API servers write it: an object without spaces between its parts. It knows the whole grammar, and where the
//! parts of a text are, so that whoever reads a few fields jumps over all others.
//!
//! It answers only what it is sure of: with spaces, escapes in what is read, or anything wrong, it says nothing, and the caller asks
//! `serde_json`, whose answers and sentences are what counts. What it does answer, `serde_json` answers too.

mod block;
mod index;
mod scalar;
mod shapes;
mod tape;

pub use shapes::Shapes;

use block::BLOCK;
use index::Index;
use std::borrow::Cow;
use tape::{Mark, Way, short};

/// Longer lists are not read quickly.
const LONGEST_LIST: usize = 1000;

/// A place in a text: before a value that is still to be read.
#[derive(Debug)]
pub struct Cursor<'a, 'i> {
    text: &'a [u8],
    index: &'i Index,
    at: usize,
    /// How many brackets are before it.
    bracket: usize,
    way: Way<'i>,
}

/// What can be read quickly.
pub trait Quick<'a>: Sized {
    /// Reads a value, if that is certain to be what `serde_json` would read.
    fn quick(json: &mut Cursor<'a, '_>) -> Option<Self>;
}

/// Reads a text quickly, if that is certain to be what `serde_json` would read.
#[must_use]
pub fn quick<'a, T: Quick<'a>>(text: &'a [u8], shapes: &Shapes) -> Option<T> {
    let text = trimmed(text);
    if let Some(shape) = shapes.of::<T>(text) {
        return T::quick(&mut Cursor::new(text, &shape.index, shape.tape.way()));
    }
    let index = Index::of(text)?;
    let mut cursor = Cursor::new(text, &index, Way::New(Vec::new()));
    let read = T::quick(&mut cursor)?;
    if let Way::New(marks) = cursor.way {
        shapes.learn::<T>(text, index, marks);
    }
    Some(read)
}

/// Without the spaces of JSON behind it.
fn trimmed(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let end = text.iter().rposition(|byte| !is_space(byte));
    end.and_then(|end| text.get(..=end)).unwrap_or_default()
}

impl<'a, 'i> Cursor<'a, 'i> {
    fn new(text: &'a [u8], index: &'i Index, way: Way<'i>) -> Self {
        Self {
            text,
            index,
            at: 0,
            bracket: 0,
            way,
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn pass(&mut self, bytes: usize) {
        self.at = self.at.wrapping_add(bytes);
    }

    /// Whether the bracket here is one that has something in it, and so was noted; then it is passed.
    fn enters(&mut self) -> bool {
        let noted = self.index.brackets.get(self.bracket);
        let is_noted = noted.is_some_and(|noted| usize::try_from(noted.at) == Ok(self.at));
        if is_noted {
            self.bracket = self.bracket.wrapping_add(1);
            self.pass(1);
        } else {
            self.pass(2);
        }
        is_noted
    }

    /// Past the bracket that closes, if one stands here; otherwise past a comma.
    fn closes(&mut self, bracket: u8) -> bool {
        let is_closed = self.byte() == Some(bracket);
        if is_closed {
            self.bracket = self.bracket.wrapping_add(1);
        }
        self.pass(1);
        is_closed
    }

    /// Reads an object; whether anything is in it. Each field with one of these keys is handed over, at its value, by the number of its
    /// key; all others are passed.
    pub fn fields(
        &mut self,
        keys: &[&[u8]],
        mut field: impl FnMut(&mut Self, usize) -> Option<()>,
    ) -> Option<bool> {
        if self.byte() != Some(b'{') {
            return None;
        }
        if !self.way.is_known() {
            return self.new_fields(keys, field);
        }
        loop {
            match self.way.next()? {
                Mark::Field { number, at } => {
                    self.at = usize::from(at);
                    field(self, usize::from(number))?;
                }
                Mark::End { is_empty, at } => {
                    self.at = usize::from(at);
                    return Some(!is_empty);
                }
                Mark::Text { .. } | Mark::Array { .. } => return None,
            }
        }
    }

    fn new_fields(
        &mut self,
        keys: &[&[u8]],
        mut field: impl FnMut(&mut Self, usize) -> Option<()>,
    ) -> Option<bool> {
        let is_empty = self.is_empty(b'}');
        let mut is_over = is_empty;
        while !is_over {
            let key = self.key()?;
            match keys.iter().position(|known| *known == key) {
                Some(number) => {
                    let at = short(self.at);
                    self.way.note(Mark::Field {
                        number: number.try_into().ok()?,
                        at,
                    });
                    field(self, number)?;
                }
                // Keys have to be text, even if nobody reads them.
                None if self.index.is_ascii || key.is_ascii() => self.skip()?,
                None => return None,
            }
            is_over = self.closes(b'}');
        }
        let at = short(self.at);
        self.way.note(Mark::End { is_empty, at });
        Some(!is_empty)
    }

    /// The letters of the key here; past its colon.
    fn key(&mut self) -> Option<&'a [u8]> {
        let end = self.end_of_plain()?;
        let key = self.text.get(self.at.wrapping_add(1)..end)?;
        self.at = end.wrapping_add(2);
        Some(key)
    }

    /// Past the bracket that opens, and of the one that closes where nothing is between them.
    fn is_empty(&mut self, closing: u8) -> bool {
        // Where the brackets are in two blocks, they were noted.
        !self.enters() || (self.byte() == Some(closing) && self.closes(closing))
    }

    /// Reads an array.
    fn list<T: Quick<'a>>(&mut self) -> Option<Vec<T>> {
        if self.byte() != Some(b'[') {
            return None;
        }
        if !self.way.is_known() {
            return self.new_list();
        }
        let Mark::Array { items } = self.way.next()? else {
            return None;
        };
        let mut all = Vec::with_capacity(usize::from(items));
        self.pass(1);
        for _ in 0..items {
            all.push(T::quick(self)?);
            self.pass(1);
        }
        self.pass(usize::from(items == 0));
        Some(all)
    }

    fn new_list<T: Quick<'a>>(&mut self) -> Option<Vec<T>> {
        let noted = self.way.note(Mark::Array { items: 0 });
        let mut all = Vec::new();
        let mut is_over = self.is_empty(b']');
        while !is_over {
            // Longer ones have bounds of their own, which are not known here.
            if all.len() >= LONGEST_LIST {
                return None;
            }
            all.push(T::quick(self)?);
            is_over = self.closes(b']');
        }
        self.way.counts(noted, all.len());
        Some(all)
    }

    /// Passes a value, whatever it is.
    fn skip(&mut self) -> Option<()> {
        match self.byte()? {
            b'"' => loop {
                let stop = self.stop()?;
                let is_end = self.text.get(stop) == Some(&b'"');
                self.at = stop;
                if is_end {
                    self.pass(1);
                    return Some(());
                }
            },
            b'{' | b'[' => {
                let opened = self.index.brackets.get(self.bracket);
                if self.enters() {
                    let partner = usize::try_from(opened?.partner).ok()?;
                    let closing = self.index.brackets.get(partner)?;
                    self.at = usize::try_from(closing.at).ok()?;
                    self.pass(1);
                    self.bracket = partner.wrapping_add(1);
                }
                Some(())
            }
            _ => {
                let rest = self.text.get(self.at..)?;
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']');
                let length = rest.iter().position(ends)?;
                self.pass(length);
                Some(())
            }
        }
    }

    /// The next quote or backslash behind this place.
    fn stop(&self) -> Option<usize> {
        let from = self.at.wrapping_add(1);
        let stops = &self.index.stops;
        let mut number = from / BLOCK;
        let mut found = *stops.get(number)? & (u64::MAX << (from % BLOCK));
        while found == 0 {
            number = number.wrapping_add(1);
            found = *stops.get(number)?;
        }
        let within = usize::try_from(found.trailing_zeros()).ok()?;
        Some(number.wrapping_mul(BLOCK).wrapping_add(within))
    }

    /// Where the string here ends, if all of it is written as it is.
    fn end_of_plain(&self) -> Option<usize> {
        let end = self.stop()?;
        (self.byte() == Some(b'"') && self.text.get(end) == Some(&b'"')).then_some(end)
    }

    /// The bytes of a string that are written as they are.
    fn plain(&mut self) -> Option<&'a [u8]> {
        let end = if !self.way.is_known() {
            let end = self.end_of_plain()?;
            self.way.note(Mark::Text { end: short(end) });
            end
        } else if let (Some(b'"'), Mark::Text { end }) = (self.byte(), self.way.next()?) {
            usize::from(end)
        } else {
            return None;
        };
        let plain = self.text.get(self.at.wrapping_add(1)..end)?;
        self.at = end.wrapping_add(1);
        Some(plain)
    }
}

impl<'a> Quick<'a> for Cow<'a, str> {
    fn quick(json: &mut Cursor<'a, '_>) -> Option<Self> {
        let text = str::from_utf8(json.plain()?).ok()?;
        Some(Cow::Borrowed(text))
    }
}

impl<'a> Quick<'a> for bool {
    fn quick(json: &mut Cursor<'a, '_>) -> Option<Self> {
        let is_true = json.byte()? == b't';
        if !is_true && json.byte()? != b'f' {
            return None;
        }
        json.pass(if is_true { 4 } else { 5 });
        Some(is_true)
    }
}

impl<'a, T: Quick<'a>> Quick<'a> for Option<T> {
    fn quick(json: &mut Cursor<'a, '_>) -> Option<Self> {
        if json.byte()? == b'n' {
            json.pass(4);
            return Some(None);
        }
        T::quick(json).map(Some)
    }
}

impl<'a, T: Quick<'a>> Quick<'a> for Vec<T> {
    fn quick(json: &mut Cursor<'a, '_>) -> Option<Self> {
        json.list()
    }
}

/// Whether a text can be written as a string without escapes.
fn is_plain(text: &str) -> bool {
    let odd = |byte: u8| u8::from(byte < b' ' || byte == b'"' || byte == b'\\');
    // Without a way out before the end, many bytes are looked at in one go.
    text.bytes().fold(0, |found, byte| found | odd(byte)) == 0
}

/// A text as it stands between the quotes of a string.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    // A text can always be written as JSON.
    let written = serde_json::to_string(text).unwrap_or_default();
    let within = written.get(1..written.len().saturating_sub(1));
    Cow::Owned(within.unwrap_or_default().to_owned())
}

/// Reads a field that stands at most once in its object.
pub fn once<'a, T: Quick<'a>>(field: &mut Option<T>, json: &mut Cursor<'a, '_>) -> Option<()> {
    if field.is_some() {
        return None;
    }
    *field = Some(T::quick(json)?);
    Some(())
}

/// Says how an object is read quickly whose fields all have defaults.
macro_rules! quick_fields {
    ($type:ident { $($key:literal => $field:ident),+ $(,)? }) => {
        impl<'a> $crate::kit::json::Quick<'a> for $type<'a> {
            fn quick(json: &mut $crate::kit::json::Cursor<'a, '_>) -> Option<Self> {
                $(let mut $field = None;)+
                json.fields(&[$($key),+], |json, number| {
                    let mut numbers = 0_usize..;
                    $(if numbers.next() == Some(number) {
                        return $crate::kit::json::once(&mut $field, json);
                    })+
                    None
                })?;
                Some(Self { $($field: $field.unwrap_or_default()),+ })
            }
        }
    };
}
pub(crate) use quick_fields;

#[cfg(test)]
mod tests;
