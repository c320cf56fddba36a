//! What a soak's journal says of its events.

use jiff::Timestamp;

/// One event, as its line has it.
#[derive(Clone, Debug)]
pub struct JournalEvent {
    /// Its place in the plan.
    pub index: u32,
    /// Such as podKill.
    pub kind: String,
    /// Such as worker.
    pub component: String,
    /// The pod that was hit, or empty.
    pub uid: String,
    /// When the plan wanted it.
    pub planned_at: Timestamp,
    /// When it was done.
    pub injected_at: Option<Timestamp>,
    /// When it was undone.
    pub undone_at: Option<Timestamp>,
    /// When its component was back.
    pub recovered_at: Option<Timestamp>,
    /// Such as Injected.
    pub result: String,
    /// Why not, or empty.
    pub reason: String,
}

impl JournalEvent {
    /// The events among the journal's lines, in the order in which they were written.
    pub fn all(journal: &[String]) -> Vec<Self> {
        let lines = journal.iter().filter_map(|line| line.strip_prefix("e "));
        lines.map(Self::of).collect()
    }

    /// Whether the pod was hit, or may have been.
    pub fn hit(&self) -> bool {
        matches!(self.result.as_str(), "Injected" | "Presumed")
    }

    fn of(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [
            index,
            kind,
            component,
            _,
            uid,
            _,
            planned,
            injected,
            recovered,
            result,
            reason,
            ref undone @ ..,
        ] = words[..]
        else {
            panic!("no event: {line}");
        };
        let text = |word: &str| word.trim_start_matches('-').to_owned();
        let instant = |word: &str| {
            let millis = word.parse().ok()?;
            Timestamp::from_millisecond(millis).ok()
        };
        Self {
            index: index.parse().unwrap(),
            kind: kind.to_owned(),
            component: component.to_owned(),
            uid: text(uid),
            planned_at: instant(planned).unwrap(),
            injected_at: instant(injected),
            undone_at: undone.first().and_then(|word| instant(word)),
            recovered_at: instant(recovered),
            result: result.to_owned(),
            reason: text(reason),
        }
    }
}
