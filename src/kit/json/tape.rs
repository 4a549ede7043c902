//! The way of a reader through a text: which fields of which objects it read, and where their texts end. It reads the same of every
//! text of this shape, since their keys are the same too: it passes all else without a look, and asks the index nothing.

/// What a reader met on the way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// The value of a field, and which one it is of those that the reader knows.
    Field { number: u8, at: u16 },
    /// Behind an object, and whether nothing is in it.
    End { is_empty: bool, at: u16 },
    /// Where a string ends that was read.
    Text { end: u16 },
    /// An array, and how much is in it.
    Array { items: u16 },
}

/// A place in a text. Longer texts than it can tell of are not remembered (`shapes.rs`).
pub(super) fn short(place: usize) -> u16 {
    u16::try_from(place).unwrap_or(u16::MAX)
}

/// How a text is gone through.
#[derive(Debug)]
pub(super) enum Way<'i> {
    /// Field by field, and what is read is noted.
    New(Vec<Mark>),
    /// As another one before.
    Known(std::slice::Iter<'i, Mark>),
}

/// A way that was gone.
#[derive(Debug)]
pub(super) struct Tape {
    /// By whom: another reader reads other fields.
    reader: &'static str,
    marks: Box<[Mark]>,
}

impl Tape {
    pub(super) fn of<T>(marks: Vec<Mark>) -> Self {
        Self {
            reader: std::any::type_name::<T>(),
            marks: marks.into(),
        }
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
    /// The next mark of a way that is known.
    pub(super) fn next(&mut self) -> Option<Mark> {
        match self {
            Self::New(_) => None,
            Self::Known(marks) => marks.next().copied(),
        }
    }

    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// What comes of a new way, where it is noted.
    pub(super) fn note(&mut self, mark: Mark) -> usize {
        match self {
            Self::New(marks) => {
                marks.push(mark);
                marks.len().wrapping_sub(1)
            }
            Self::Known(_) => 0,
        }
    }

    /// How much is in the array that was noted there.
    pub(super) fn counts(&mut self, noted: usize, items: usize) {
        if let Self::New(marks) = self
            && let Some(mark) = marks.get_mut(noted)
        {
            *mark = Mark::Array {
                items: short(items),
            };
        }
    }
}
