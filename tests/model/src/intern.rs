//! Large values by small numbers, so that a world fits into a few words and is compared at once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A map whose keys nobody chooses to annoy us.
pub type Quick<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;

/// Multiplies and turns: enough to spread keys that are small numbers.
#[derive(Default)]
pub struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A value's number. Zero is the one that was there first: nothing, or a blank one.
pub type Id = u16;

/// Values, each once.
pub struct Table<T> {
    values: Vec<T>,
    ids: Quick<T, Id>,
}

impl<T: Clone + Eq + Hash + std::fmt::Debug> Table<T> {
    pub fn with(first: T) -> Self {
        let mut table = Self {
            values: Vec::new(),
            ids: Quick::default(),
        };
        table.id(first);
        table
    }

    pub fn id(&mut self, value: T) -> Id {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        let id = Id::try_from(self.values.len()).unwrap_or_else(|_| {
            for value in self.values.iter().rev().step_by(1000).take(20) {
                eprintln!("{value:?}");
            }
            panic!(
                "fewer than 65,536 different values of {}",
                std::any::type_name::<T>()
            )
        });
        self.values.push(value.clone());
        self.ids.insert(value, id);
        id
    }

    pub fn get(&self, id: Id) -> &T {
        &self.values[usize::from(id)]
    }
}
