//! The journal of a soak: every incarnation of every pod, every event, every breach of health.
//!
//! It is append-only text in ConfigMaps, one line an entry, and it is what judging believes: an entry is written there
//! before the status forgets it. The newest entries are in the status itself. When they are many they are written in a
//! batch, which has a name of its own and that of the batch before it, and the status names the last: so an entry counts
//! if and only if the status that goes with it was written. What an operator appended that died before its status, or that
//! no longer led and did not know it, stays beside the chain.
//!
//! ```text
//! # 3f2a91-1763850000124 3f2a91-1763849990022                   a batch, and the one before it
//! i worker simple-worker-7f9c-x2kq1 6f1c… 0 1763850000123      an incarnation: component, pod, uid, restarts, start
//! x 6f1c… 0 1763850100456                                      its end
//! e 3 podKill worker simple-worker-7f9c-x2kq1 6f1c… 0 1763850100400 1763850100456 1763850107001 Injected -
//! b 1763850200000 worker simple-worker-7f9c-x2kq1 OOMKilled exit code 137
//! ```
//! Instants are milliseconds since the Unix epoch; `-` stands for nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use soak_api::{EventRecord, EventResult, HealthBreach, JournalStatus};

/// One line of the journal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    /// A container of the workload started.
    Started(Incarnation),
    /// An incarnation was gone.
    Ended {
        /// Which.
        id: IncarnationId,
        /// When it was seen to be gone.
        at: Timestamp,
    },
    /// A planned event came to its end.
    Event(EventRecord),
    /// Something happened that chaos did not do.
    Breach(HealthBreach),
}

/// A pod's uid and how often its container had been restarted: no two incarnations share both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IncarnationId {
    /// The pod's uid.
    pub(crate) uid: String,
    /// Restarts of its container before this start.
    pub(crate) restarts: u32,
}

/// One start of a pod's container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Incarnation {
    pub(crate) component: String,
    pub(crate) pod: String,
    pub(crate) id: IncarnationId,
    pub(crate) started_at: Timestamp,
}

/// A journal that cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("the journal's line {0:?} cannot be read")]
    Unreadable(String),
    #[error("the journal is torn: {found} of {expected} entries are there")]
    Torn {
        /// Entries that are there.
        found: usize,
        /// Entries that the status knows to have been written.
        expected: u32,
    },
}

/// What the entries come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Journal {
    /// Entries read, repeated ones included.
    pub(crate) entries: usize,
    /// The batch that was read last.
    pub(crate) head: String,
    /// Every incarnation and, where it is over, its end.
    pub(crate) incarnations: BTreeMap<IncarnationId, (Incarnation, Option<Timestamp>)>,
    /// Events by their place in the plan.
    pub(crate) events: BTreeMap<u32, EventRecord>,
    /// What chaos did not do, in the order it was written.
    pub(crate) breaches: Vec<HealthBreach>,
}

impl Journal {
    /// Reads the chunks, in order: the batches that lead to the one that the status names, and then the status' own tail.
    /// Together they must hold as many entries as it says.
    pub(crate) fn read<'a>(
        chunks: impl IntoIterator<Item = &'a str>,
        status: &JournalStatus,
    ) -> Result<Self, JournalError> {
        let mut batches: BTreeMap<&str, Batch<'_>> = BTreeMap::new();
        let mut last = "";
        for line in chunks.into_iter().flat_map(str::lines) {
            let unreadable = || JournalError::Unreadable(line.to_owned());
            if let Some(names) = line.strip_prefix("# ") {
                let (name, before) = names.split_once(' ').ok_or_else(unreadable)?;
                let entries = Vec::new();
                batches.insert(name, Batch { before, entries });
                last = name;
            } else if !line.is_empty() {
                let entry = decode(line).ok_or_else(unreadable)?;
                let batch = batches.get_mut(last).ok_or_else(unreadable)?;
                batch.entries.push(entry);
            }
        }
        let mut chain = Vec::new();
        let mut name = status.head.as_str();
        // A batch is taken once, so that no ring of names can be followed for ever.
        while let Some(batch) = batches.remove(name) {
            chain.push(batch.entries);
            name = batch.before;
        }
        let mut journal = Self::default();
        for entry in chain.into_iter().rev().flatten() {
            journal.add(entry);
        }
        journal.head.clone_from(&status.head);
        for line in status.tail.lines() {
            let entry = decode(line).ok_or_else(|| JournalError::Unreadable(line.to_owned()))?;
            journal.add(entry);
        }
        if journal.entries != status.entries as usize {
            return Err(JournalError::Torn {
                found: journal.entries,
                expected: status.entries,
            });
        }
        Ok(journal)
    }

    /// Takes one more entry in.
    pub(crate) fn add(&mut self, entry: Entry) {
        self.entries += 1;
        match entry {
            Entry::Started(incarnation) => {
                self.incarnations
                    .entry(incarnation.id.clone())
                    .or_insert((incarnation, None));
            }
            Entry::Ended { id, at } => {
                if let Some((_, end)) = self.incarnations.get_mut(&id) {
                    end.get_or_insert(at);
                }
            }
            Entry::Event(event) => {
                self.events.entry(event.index).or_insert(event);
            }
            Entry::Breach(breach) => {
                if !self.breaches.iter().any(|b| same_breach(b, &breach)) {
                    self.breaches.push(breach);
                }
            }
        }
    }

    /// The incarnations that are not over.
    pub(crate) fn living(&self) -> impl Iterator<Item = &Incarnation> {
        self.incarnations
            .values()
            .filter(|(_, end)| end.is_none())
            .map(|(incarnation, _)| incarnation)
    }

    /// The events that were carried out, or may have been.
    pub(crate) fn done(&self) -> impl Iterator<Item = &EventRecord> {
        let undone = |result| matches!(result, EventResult::Skipped | EventResult::Abandoned);
        let events = self.events.values();
        events.filter(move |event| !undone(event.result))
    }

    /// Whether the same thing has been noted before, at whatever instant.
    pub(crate) fn has_breach(&self, breach: &HealthBreach) -> bool {
        self.breaches.iter().any(|b| same_breach(b, breach))
    }
}

/// Entries that were written together.
struct Batch<'a> {
    before: &'a str,
    entries: Vec<Entry>,
}

/// The name of a batch that no other has: who writes it, and when.
pub(crate) fn batch_name(writer: &str, now: Timestamp) -> String {
    // FNV-1a (Fowler, Noll, Vo, 1991).
    let hash = writer.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{hash:08x}-{}", now.as_millisecond())
}

/// The entries as lines, each with its end.
pub(crate) fn encode_all(entries: &[Entry]) -> String {
    entries.iter().map(|entry| encode(entry) + "\n").collect()
}

/// The batch of these lines; `before` is empty for the first.
pub(crate) fn batch(name: &str, before: &str, lines: &str) -> String {
    format!("# {name} {}\n{lines}", or_dash(before))
}

fn same_breach(a: &HealthBreach, b: &HealthBreach) -> bool {
    (&a.component, &a.pod, &a.reason, &a.detail) == (&b.component, &b.pod, &b.reason, &b.detail)
}

/// The entry as one line, without its end.
fn encode(entry: &Entry) -> String {
    match entry {
        Entry::Started(i) => format!(
            "i {} {} {} {} {}",
            i.component,
            i.pod,
            i.id.uid,
            i.id.restarts,
            i.started_at.as_millisecond()
        ),
        Entry::Ended { id, at } => format!("x {} {} {}", id.uid, id.restarts, at.as_millisecond()),
        Entry::Event(e) => format!(
            "e {} {} {} {} {} {} {} {} {} {} {}{}",
            e.index,
            e.kind,
            e.component,
            or_dash(&e.pod),
            or_dash(&e.uid),
            e.restarts,
            e.planned_at.as_millisecond(),
            instant_or_dash(e.injected_at),
            instant_or_dash(e.recovered_at),
            result_name(e.result),
            or_dash(&e.reason),
            e.undone_at
                .map_or_else(String::new, |at| format!(" {}", at.as_millisecond()))
        ),
        Entry::Breach(b) => format!(
            "b {} {} {} {} {}",
            b.at.as_millisecond(),
            b.component,
            or_dash(&b.pod),
            b.reason,
            b.detail.split_whitespace().collect::<Vec<_>>().join(" ")
        ),
    }
}

fn decode(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let entry = match words.next()? {
        "i" => Entry::Started(Incarnation {
            component: words.next()?.to_owned(),
            pod: words.next()?.to_owned(),
            id: IncarnationId {
                uid: words.next()?.to_owned(),
                restarts: words.next()?.parse().ok()?,
            },
            started_at: instant(words.next()?)?,
        }),
        "x" => Entry::Ended {
            id: IncarnationId {
                uid: words.next()?.to_owned(),
                restarts: words.next()?.parse().ok()?,
            },
            at: instant(words.next()?)?,
        },
        "e" => Entry::Event(EventRecord {
            index: words.next()?.parse().ok()?,
            kind: words.next()?.to_owned(),
            component: words.next()?.to_owned(),
            pod: text(words.next()?),
            uid: text(words.next()?),
            restarts: words.next()?.parse().ok()?,
            planned_at: instant(words.next()?)?,
            injected_at: optional_instant(words.next()?)?,
            recovered_at: optional_instant(words.next()?)?,
            result: named_result(words.next()?)?,
            reason: text(words.next()?),
            undone_at: match words.next() {
                Some(word) => Some(instant(word)?),
                None => None,
            },
        }),
        "b" => Entry::Breach(HealthBreach {
            at: instant(words.next()?)?,
            component: words.next()?.to_owned(),
            pod: text(words.next()?),
            reason: words.next()?.to_owned(),
            detail: words.by_ref().collect::<Vec<_>>().join(" "),
        }),
        _ => return None,
    };
    words.next().is_none().then_some(entry)
}

const RESULTS: [(EventResult, &str); 5] = [
    (EventResult::Injected, "Injected"),
    (EventResult::Skipped, "Skipped"),
    (EventResult::Abandoned, "Abandoned"),
    (EventResult::Presumed, "Presumed"),
    (EventResult::Unproven, "Unproven"),
];

fn result_name(result: EventResult) -> &'static str {
    RESULTS
        .iter()
        .find(|(r, _)| *r == result)
        .map_or("-", |(_, name)| name)
}

fn named_result(name: &str) -> Option<EventResult> {
    RESULTS
        .iter()
        .find(|(_, n)| *n == name)
        .map(|(result, _)| *result)
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn text(word: &str) -> String {
    if word == "-" {
        String::new()
    } else {
        word.to_owned()
    }
}

fn instant_or_dash(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.as_millisecond().to_string())
}

fn instant(word: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(word.parse().ok()?).ok()
}

#[expect(
    clippy::option_option,
    reason = "outer: readable at all; inner: an instant or a dash"
)]
fn optional_instant(word: &str) -> Option<Option<Timestamp>> {
    if word == "-" {
        Some(None)
    } else {
        instant(word).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn at()(millis in 0_i64..4_000_000_000_000) -> Timestamp {
            Timestamp::from_millisecond(millis).expect("in range")
        }
    }

    fn word() -> impl Strategy<Value = String> {
        "[a-z][a-z0-9-]{0,20}"
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let id = || {
            ("[0-9a-f]{8}", 0_u32..9).prop_map(|(uid, restarts)| IncarnationId { uid, restarts })
        };
        prop_oneof![
            (word(), word(), id(), at()).prop_map(|(component, pod, id, started_at)| {
                Entry::Started(Incarnation {
                    component,
                    pod,
                    id,
                    started_at,
                })
            }),
            (id(), at()).prop_map(|(id, at)| Entry::Ended { id, at }),
            (
                0_u32..10_000,
                word(),
                (
                    prop::option::of(word()),
                    prop::option::of("[0-9a-f]{8}"),
                    0_u32..9
                ),
                (
                    at(),
                    prop::option::of(at()),
                    prop::option::of(at()),
                    prop::option::of(at())
                ),
                0_usize..RESULTS.len(),
                prop::option::of("[A-Z][A-Za-z]{0,20}"),
            )
                .prop_map(
                    |(
                        index,
                        component,
                        (pod, uid, restarts),
                        (planned_at, injected_at, undone_at, recovered_at),
                        result,
                        reason,
                    )| {
                        Entry::Event(EventRecord {
                            index,
                            kind: "podKill".into(),
                            component,
                            pod: pod.unwrap_or_default(),
                            uid: uid.unwrap_or_default(),
                            restarts,
                            planned_at,
                            injected_at,
                            undone_at,
                            recovered_at,
                            result: RESULTS[result].0,
                            reason: reason.unwrap_or_default(),
                        })
                    }
                ),
            (
                at(),
                word(),
                word(),
                "[A-Z][a-z]{1,9}",
                "[a-z]{0,9}( [a-z0-9]{1,9}){0,3}"
            )
                .prop_map(|(at, component, pod, reason, detail)| Entry::Breach(
                    HealthBreach {
                        at,
                        component,
                        pod,
                        reason,
                        detail: detail.trim().to_owned()
                    }
                )),
        ]
    }

    fn of(batches: &[(&str, &str, &[Entry])], head: &str) -> Journal {
        let text = batches
            .iter()
            .map(|(name, before, entries)| batch(name, before, &encode_all(entries)));
        let texts: Vec<String> = text.collect();
        let mut entries = 0;
        let mut next = head;
        while let Some((_, before, batch)) = batches.iter().find(|(name, ..)| *name == next) {
            entries += batch.len();
            next = before;
        }
        let (entries, head) = (u32::try_from(entries).expect("few"), head.to_owned());
        let status = JournalStatus {
            chunks: 1,
            entries,
            head,
            ..JournalStatus::default()
        };
        Journal::read(texts.iter().map(String::as_str), &status).expect("whole")
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(entry in entry()) {
            prop_assert_eq!(decode(&encode(&entry)), Some(entry));
        }

        #[test]
        fn an_entry_written_twice_is_read_once(entries in prop::collection::vec(entry(), 0..30)) {
            let twice: Vec<_> = entries.iter().flat_map(|e| [e.clone(), e.clone()]).collect();
            let (once, twice) = (of(&[("a", "", &entries)], "a"), of(&[("a", "", &twice)], "a"));
            prop_assert_eq!(once.incarnations, twice.incarnations);
            prop_assert_eq!(once.events, twice.events);
            prop_assert_eq!(once.breaches, twice.breaches);
        }

        #[test]
        fn what_was_written_without_its_status_does_not_count(
            batches in prop::collection::vec(prop::collection::vec(entry(), 1..4), 1..6), void in prop::collection::vec(entry(), 1..4),
            place in 0_usize..6,
        ) {
            let names: Vec<String> = (0..batches.len()).map(|i| format!("b{i}")).collect();
            let before = |i: usize| if i == 0 { "" } else { names[i - 1].as_str() };
            let chain: Vec<(&str, &str, &[Entry])> =
                batches.iter().enumerate().map(|(i, batch)| (names[i].as_str(), before(i), batch.as_slice())).collect();
            let head = names.last().expect("one at least");
            let mut with_void = chain.clone();
            let place = place.min(batches.len());
            with_void.insert(place, ("void", before(place.min(batches.len() - 1)), &void));
            prop_assert_eq!(of(&with_void, head), of(&chain, head));
        }

        #[test]
        fn a_journal_that_lost_an_entry_or_a_batch_is_torn(entries in prop::collection::vec(entry(), 1..30)) {
            let expected = u32::try_from(entries.len() + 1).expect("few");
            let status = JournalStatus { chunks: 1, entries: expected, head: "b".into(), ..JournalStatus::default() };
            let first = batch("a", "", &encode_all(&entries[..1]));
            let second = batch("b", "a", &encode_all(&entries));
            prop_assert!(Journal::read([&*first, &*second], &status).is_ok());
            let torn = |found| Err(JournalError::Torn { found, expected });
            prop_assert_eq!(Journal::read([&*second], &status), torn(entries.len()));
            prop_assert_eq!(Journal::read([&*first], &status), torn(0));
            let shorter = batch("b", "a", &encode_all(&entries[1..]));
            prop_assert_eq!(Journal::read([&*first, &*shorter], &status), torn(entries.len()));
        }

        #[test]
        fn it_makes_no_difference_which_entries_are_in_the_tail(entries in prop::collection::vec(entry(), 1..30), place in 0_usize..30) {
            let place = place.min(entries.len());
            let (old, new) = entries.split_at(place);
            let count = u32::try_from(entries.len()).expect("few");
            let (head, chunks) = if old.is_empty() { ("", 0) } else { ("a", 1) };
            let status = JournalStatus { chunks, entries: count, head: head.into(), filled: 0, tail: encode_all(new) };
            let chunk = batch("a", "", &encode_all(old));
            let split = Journal::read([&*chunk], &status).expect("whole");
            let whole = of(&[("a", "", &entries)], "a");
            prop_assert_eq!(split.incarnations, whole.incarnations);
            prop_assert_eq!(split.events, whole.events);
            prop_assert_eq!(split.breaches, whole.breaches);
        }

        #[test]
        fn no_line_makes_reading_panic(line in ".{0,80}") {
            let status = JournalStatus { chunks: 1, entries: 1, head: "a".into(), ..JournalStatus::default() };
            let _ = Journal::read(["# a a\n", &*line], &status);
        }
    }

    #[test]
    fn a_line_cut_short_is_unreadable() {
        let line = "e 3 podKill worker pod uid 1763850100400";
        assert_eq!(
            Journal::read(["# a -", line], &JournalStatus::default()),
            Err(JournalError::Unreadable(line.into()))
        );
    }
}
