//! The way of a reader through a text: which fields of which objects it read, and where their texts end. It reads the same of every
//! text of this shape, since their keys are the same too: it passes all else without a look, and asks the index nothing.

/// A place on the way: of the text, and of its brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Before the key of a field that was read.
    Field(Place),
    /// Behind an object.
    End(Place),
    /// A string that was read begins and ends here.
    Text { at: u32, end: u32 },
    /// An array, and whether something is in it.
    Array { is_empty: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: u32,
    pub(super) bracket: u32,
}

/// A mark in half the bytes, for it is kept as long as the shape is. Longer texts than it can tell of are not remembered (`shapes.rs`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    kind: Kind,
    first: u16,
    second: u16,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Field,
    End,
    Text,
    Array,
    EmptyArray,
}

/// How a text is gone through.
#[derive(Debug)]
pub(super) enum Way<'i> {
    /// Field by field, and what is read is noted.
    New(Vec<Mark>),
    /// As another one before.
    Known(std::slice::Iter<'i, Kept>),
}

/// A way that was gone.
#[derive(Debug)]
pub(super) struct Tape {
    /// By whom: another reader reads other fields.
    reader: &'static str,
    marks: Box<[Kept]>,
}

impl Kept {
    /// None: too far behind for it.
    fn of(mark: Mark) -> Option<Self> {
        let (kind, first, second) = match mark {
            Mark::Field(place) => (Kind::Field, place.at, place.bracket),
            Mark::End(place) => (Kind::End, place.at, place.bracket),
            Mark::Text { at, end } => (Kind::Text, at, end),
            Mark::Array { is_empty: false } => (Kind::Array, 0, 0),
            Mark::Array { is_empty: true } => (Kind::EmptyArray, 0, 0),
        };
        Some(Self {
            kind,
            first: first.try_into().ok()?,
            second: second.try_into().ok()?,
        })
    }

    fn mark(self) -> Mark {
        let (first, second) = (u32::from(self.first), u32::from(self.second));
        let place = Place {
            at: first,
            bracket: second,
        };
        match self.kind {
            Kind::Field => Mark::Field(place),
            Kind::End => Mark::End(place),
            Kind::Text => Mark::Text {
                at: first,
                end: second,
            },
            Kind::Array => Mark::Array { is_empty: false },
            Kind::EmptyArray => Mark::Array { is_empty: true },
        }
    }
}

impl Tape {
    /// None where the text is too long for a way to be kept.
    pub(super) fn of<T>(marks: &[Mark]) -> Option<Self> {
        let marks: Option<_> = marks.iter().copied().map(Kept::of).collect();
        Some(Self {
            reader: std::any::type_name::<T>(),
            marks: marks?,
        })
    }

    /// Whether it is this reader's.
    pub(super) fn is_of<T>(&self) -> bool {
        self.reader == std::any::type_name::<T>()
    }

    pub(super) fn way(&self) -> Way<'_> {
        Way::Known(self.marks.iter())
    }

    /// How much it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.marks)
    }
}

impl Way<'_> {
    /// How much was noted.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::New(marks) => marks.len(),
            Self::Known(_) => 0,
        }
    }

    /// The next mark of a way that is known.
    pub(super) fn next(&mut self) -> Option<Mark> {
        match self {
            Self::New(_) => None,
            Self::Known(marks) => marks.next().copied().map(Kept::mark),
        }
    }

    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    pub(super) fn note(&mut self, mark: Mark) {
        if let Self::New(marks) = self {
            marks.push(mark);
        }
    }

    /// Nobody read what was noted since.
    pub(super) fn back_to(&mut self, length: usize) {
        if let Self::New(marks) = self {
            marks.truncate(length);
        }
    }
}
