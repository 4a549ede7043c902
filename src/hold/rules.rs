//! The rules of the hand-over that can be switched off, one by one, to see that the model notices (`tests/model`). The product has all
//! of them, always: without the feature `faults` there is nothing to switch, and asking costs nothing.

/// A rule without which there could be two of a workload, or none, or one that stands for ever. Here they are by whom they bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rule {
    /// A record: a pod is withdrawn or released, never one after the other.
    WithdrawnOrReleased,
    /// A record: a proof speaks of one target pod, and so does a release.
    ProofNamesTheTarget,
    /// A record: a voided pod stays void.
    RevokedIsFinal,
    /// A record: what may have run is never said not to have run.
    RanIsFinal,
    /// A record: a token begun before the node's last boot may have run.
    BootCountsAsRan,
    /// A record: a token that was begun is spent.
    TokensAreSpent,
    /// A record: a pod that was prepared for a state never starts without one.
    PreparedNeverFresh,
    /// A record: an operation that ended on a pod does not hold it again.
    EndedIsOver,
    /// A record: what was thawed and died is a crash, and does not start from before the thaw.
    ThawedDiedRunning,
    /// An answer: nothing starts in a held pod.
    HoldBlocksCreate,
    /// The source: a released pod comes back on proof alone.
    ProofBeforeReturn,
    /// The source: a pod that ran after its dump began is never released.
    ThawedIsDamaged,
    /// The source: where no pod waits, everything is safe on both nodes before it is killed.
    VerifiedBeforeKill,
    /// The guard: what is frozen comes back at its deadline, agent or not.
    GuardThaws,
    /// The target: nothing is claimed before the source has released it.
    ReleaseBeforeClaim,
    /// The target: what is called dead was killed with all that could still bring it to life.
    AttemptCgroup,
    /// The target: without evidence, what was begun may have run.
    NoEvidenceCountsAsRan,
    /// The target: an attempt of which a container died is over as a whole.
    FailsAsAWhole,
    /// The target: what still runs of a pod that is gone is killed.
    OrphansAreKilled,
    /// The leader: a decision is written over the one that was seen.
    DecisionsAreCompared,
    /// The leader: restored means all containers.
    RestoredMeansAll,
    /// The leader: another attempt only when the former one can never run.
    AttemptProvenDead,
    /// The leader: what ran on the target is restored there again, and does not go back.
    RanGoesForward,
    /// The leader: a node that does not answer is not dead.
    SilenceIsNotDeath,
    /// The leader: a pod is gone before its node is called off.
    GoneBeforeProof,
    /// The leader: a pod that has its predecessor's name is made when that one is dead.
    KilledBeforeSuccessor,
    /// The leader: a pod is let go to its node when that node has it on disk that the pod waits.
    KnownBeforeGate,
    /// The leader: that anything was begun is written before it is.
    BegunIsWritten,
    /// The leader: what a lost Migration left is given back when its node is done with it.
    SweepAsksFirst,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::WithdrawnOrReleased,
        Self::ProofNamesTheTarget,
        Self::RevokedIsFinal,
        Self::RanIsFinal,
        Self::BootCountsAsRan,
        Self::TokensAreSpent,
        Self::PreparedNeverFresh,
        Self::EndedIsOver,
        Self::ThawedDiedRunning,
        Self::HoldBlocksCreate,
        Self::ProofBeforeReturn,
        Self::ThawedIsDamaged,
        Self::VerifiedBeforeKill,
        Self::GuardThaws,
        Self::ReleaseBeforeClaim,
        Self::AttemptCgroup,
        Self::NoEvidenceCountsAsRan,
        Self::FailsAsAWhole,
        Self::OrphansAreKilled,
        Self::DecisionsAreCompared,
        Self::RestoredMeansAll,
        Self::AttemptProvenDead,
        Self::RanGoesForward,
        Self::SilenceIsNotDeath,
        Self::GoneBeforeProof,
        Self::KilledBeforeSuccessor,
        Self::KnownBeforeGate,
        Self::BegunIsWritten,
        Self::SweepAsksFirst,
    ];
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
