//! The three resources that a share is of, and amounts of each.

use crate::kit::quantity::Quantity;

/// What a share is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Resource {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Ephemeral storage.
    Storage,
}

impl Resource {
    /// All of them, in the order in which they are told.
    pub(crate) const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Storage];

    /// Its key in a resource list.
    #[must_use]
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Storage => "ephemeral-storage",
        }
    }

    /// Its name in a template's fields, such as `maxCPU` and `cpuPercentage`.
    #[must_use]
    pub(crate) const fn field(self) -> (&'static str, &'static str) {
        match self {
            Self::Cpu => ("cpu", "CPU"),
            Self::Memory => ("memory", "Memory"),
            Self::Storage => ("storage", "Storage"),
        }
    }

    /// The finest part of it that is handed out: a thousandth of a CPU, a byte.
    #[must_use]
    pub(crate) const fn grain(self) -> Quantity {
        match self {
            Self::Cpu => Quantity::from_nanos(1_000_000),
            Self::Memory | Self::Storage => Quantity::from_nanos(1_000_000_000),
        }
    }

    /// An amount of it, as a person would write it.
    #[must_use]
    pub(crate) fn text(self, amount: Quantity) -> String {
        let mut text = String::new();
        self.write(amount, &mut text);
        text
    }

    /// The same, at the end of a text.
    pub(crate) fn write(self, amount: Quantity, text: &mut String) {
        match self {
            Self::Cpu => amount.write_decimal(text),
            Self::Memory | Self::Storage => amount.write_binary(text),
        }
    }
}

/// Something for each of the three resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Each<T> {
    /// For processor time.
    pub(crate) cpu: T,
    /// For memory.
    pub(crate) memory: T,
    /// For ephemeral storage.
    pub(crate) storage: T,
}

/// Amounts, where there are any.
pub(crate) type Amounts = Each<Option<Quantity>>;

impl<T> Each<T> {
    /// One for each resource.
    pub(crate) fn from_fn(mut make: impl FnMut(Resource) -> T) -> Self {
        Self {
            cpu: make(Resource::Cpu),
            memory: make(Resource::Memory),
            storage: make(Resource::Storage),
        }
    }

    /// The one for a resource.
    pub(crate) const fn of(&self, resource: Resource) -> &T {
        match resource {
            Resource::Cpu => &self.cpu,
            Resource::Memory => &self.memory,
            Resource::Storage => &self.storage,
        }
    }

    /// The one for a resource, to be changed.
    pub(crate) const fn of_mut(&mut self, resource: Resource) -> &mut T {
        match resource {
            Resource::Cpu => &mut self.cpu,
            Resource::Memory => &mut self.memory,
            Resource::Storage => &mut self.storage,
        }
    }
}

impl Amounts {
    /// These, and what is absent from others.
    #[must_use]
    pub(crate) fn or(&self, others: &Self) -> Self {
        Self::from_fn(|resource| self.of(resource).or(*others.of(resource)))
    }

    /// Both together, resource by resource; what is absent counts as nothing.
    #[must_use]
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self::from_fn(|resource| match (*self.of(resource), *other.of(resource)) {
            (Some(one), Some(two)) => Some(one.plus(two)),
            (one, two) => one.or(two),
        })
    }
}
