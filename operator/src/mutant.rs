//! Deliberate faults, one at a time, that the simulation has to find: what it does not find it does not prove.
//!
//! Outside of tests there are none.

/// A fault that somebody could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Deletes by name alone.
    DropsTheUid,
    /// Takes the deletion by somebody else for its own.
    TakesOverDeletions,
    /// Acts without having written down what it is about to do.
    ForgetsTheIntent,
    /// Takes a process that was told to crash for one that did.
    BelievesTheCrash,
    /// Takes an intent that it finds for one that was carried out.
    CallsPendingDone,
    /// Does not keep what came of an intent where that cannot be written down.
    ForgetsTheAnswer,
    /// Gives up what it asked for as soon as it is too late to ask again.
    GivesUpTooSoon,
    /// Carries out an intent on another pod where its own is gone.
    TakesAnotherPod,
    /// Drops an intent that comes too late without a word.
    DropsTheIntent,
    /// Changes the cluster without the Lease.
    IgnoresTheLease,
    /// Says as it lets the Lease go that it led until then, also where it was stopped for as long.
    SaysItLed,
    /// Renews a Lease that has run out meanwhile.
    GoesOnWhereItWasFrozen,
    /// Leaves what an event has done as it is.
    ForgetsToUndo,
    /// Leaves events out of the journal.
    ForgetsTheJournal,
    /// Refuses nothing for too few ready pods.
    IgnoresTheGuard,
    /// Cuts a pod off without a look at what has become of it since it was marked.
    LooksOnlyAhead,
    /// Begins the next event before the component has recovered from the last.
    IgnoresRecovery,
    /// Does late what it missed.
    MakesUpForMissed,
    /// Goes on beyond the deadline.
    IgnoresTheDeadline,
    /// Waits for a clean-up that does not come through, and steps over the deadline.
    WaitsForTheCleanUp,
    /// Is done at the end with what could not be cleaned up.
    ForgetsWhatIsLeft,
    /// Takes missing data for data.
    BelievesSilence,
    /// Does not count the time in which no operator was there.
    IgnoresAbsence,
    /// Takes it for presence that another operator led, however long it wrote nothing.
    VouchesForTheSilent,
    /// Sees nothing of what happens to pods beside chaos.
    IgnoresBreaches,
    /// Brings a workload that was there before to what is planned.
    ChangesWhatIsThere,
}

impl Mutant {
    /// Whether this fault is switched on.
    #[cfg(test)]
    pub(crate) fn is_on(self) -> bool {
        ON.get() == Some(self)
    }

    #[cfg(not(test))]
    #[inline]
    #[expect(clippy::unused_self, reason = "it is the same call as under test")]
    pub(crate) const fn is_on(self) -> bool {
        false
    }

    /// Runs `what` with the fault switched on, on this thread.
    #[cfg(test)]
    pub(crate) fn during<T>(self, what: impl FnOnce() -> T) -> T {
        ON.set(Some(self));
        let result = what();
        ON.set(None);
        result
    }

    #[cfg(test)]
    pub(crate) const ALL: [Self; 26] = [
        Self::DropsTheUid,
        Self::TakesOverDeletions,
        Self::ForgetsTheIntent,
        Self::BelievesTheCrash,
        Self::CallsPendingDone,
        Self::ForgetsTheAnswer,
        Self::GivesUpTooSoon,
        Self::TakesAnotherPod,
        Self::DropsTheIntent,
        Self::IgnoresTheLease,
        Self::SaysItLed,
        Self::GoesOnWhereItWasFrozen,
        Self::ForgetsToUndo,
        Self::ForgetsTheJournal,
        Self::IgnoresTheGuard,
        Self::LooksOnlyAhead,
        Self::IgnoresRecovery,
        Self::MakesUpForMissed,
        Self::IgnoresTheDeadline,
        Self::WaitsForTheCleanUp,
        Self::ForgetsWhatIsLeft,
        Self::BelievesSilence,
        Self::IgnoresAbsence,
        Self::VouchesForTheSilent,
        Self::IgnoresBreaches,
        Self::ChangesWhatIsThere,
    ];
}

#[cfg(test)]
thread_local! {
    static ON: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}
