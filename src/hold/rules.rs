//! The rules of the hand-over that can be switched off, one by one, to see that the model notices (`tests/model`). The product has all
//! of them, always: without the feature `faults` there is nothing to switch, and asking costs nothing.

/// A rule without which there could be two of a workload, or none. What each says stands where it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rule {
    /// A pod is withdrawn or released, never one after the other.
    WithdrawnOrReleased,
    /// A released pod comes back on proof alone.
    ProofBeforeReturn,
    /// A proof speaks of one target pod, and so does a release.
    ProofNamesTheTarget,
    /// Nothing starts in a held pod.
    HoldBlocksCreate,
    /// A voided pod stays void.
    RevokedIsFinal,
    /// What may have run is never said not to have run.
    RanIsFinal,
    /// A token begun before the node's last boot may have run.
    BootCountsAsRan,
    /// A token that was begun is spent.
    TokensAreSpent,
    /// A later container waits until the attempt is decided, and none of it begins once it is over.
    AttemptEndsWhole,
    /// A pod that was prepared for a state never starts without one.
    PreparedNeverFresh,
    /// An operation that ended on a pod does not hold it again.
    EndedIsOver,
}

/// Which rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    #[cfg(feature = "faults")]
    off: u64,
}

impl Rules {
    /// All of them.
    pub const ALL: Self = Self {
        #[cfg(feature = "faults")]
        off: 0,
    };

    /// All but one: for the model.
    #[cfg(feature = "faults")]
    #[must_use]
    pub const fn without(rule: Rule) -> Self {
        Self {
            off: 1 << rule as u8,
        }
    }

    /// Whether a rule holds.
    #[cfg(feature = "faults")]
    #[must_use]
    pub const fn hold(self, rule: Rule) -> bool {
        self.off & (1 << rule as u8) == 0
    }

    /// Whether a rule holds.
    #[cfg(not(feature = "faults"))]
    #[must_use]
    pub const fn hold(self, _rule: Rule) -> bool {
        true
    }
}
