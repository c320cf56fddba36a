//! The journal of a soak: every incarnation of every pod, every event, every breach of health.
//!
//! It is append-only text in ConfigMaps, one line an entry, and it is what judging believes: an entry is written there
//! before the status forgets it. Entries carry their own identity, so that one written twice, because the operator
//! died before it could say that it had been written, is read once.
//!
//! ```text
//! i worker simple-worker-7f9c-x2kq1 6f1c… 0 1763850000123      an incarnation: component, pod, uid, restarts, start
//! x 6f1c… 0 1763850100456                                      its end
//! e 3 podKill worker simple-worker-7f9c-x2kq1 6f1c… 1763850100400 1763850100456 1763850107001 Injected -
//! b 1763850200000 worker simple-worker-7f9c-x2kq1 OOMKilled exit code 137
//! ```
//! Instants are milliseconds since the Unix epoch; `-` stands for nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use soak_api::{EventRecord, EventResult, HealthBreach};

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
    /// Lines read, repeated ones included.
    pub(crate) entries: usize,
    /// Every incarnation and, where it is over, its end.
    pub(crate) incarnations: BTreeMap<IncarnationId, (Incarnation, Option<Timestamp>)>,
    /// Events by their place in the plan.
    pub(crate) events: BTreeMap<u32, EventRecord>,
    /// What chaos did not do, in the order it was written.
    pub(crate) breaches: Vec<HealthBreach>,
}

impl Journal {
    /// Reads the chunks, in order, and checks that at least `expected` entries are there.
    pub(crate) fn read<'a>(
        chunks: impl IntoIterator<Item = &'a str>,
        expected: u32,
    ) -> Result<Self, JournalError> {
        let mut journal = Self::default();
        for line in chunks
            .into_iter()
            .flat_map(str::lines)
            .filter(|line| !line.is_empty())
        {
            journal.add(decode(line).ok_or_else(|| JournalError::Unreadable(line.to_owned()))?);
        }
        if journal.entries < expected as usize {
            return Err(JournalError::Torn {
                found: journal.entries,
                expected,
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

    /// The uids of pods that an event was carried out on, or may have been.
    pub(crate) fn hit(&self) -> BTreeSet<&str> {
        self.events
            .values()
            .filter(|event| matches!(event.result, EventResult::Injected | EventResult::Presumed))
            .map(|event| event.uid.as_str())
            .collect()
    }

    /// Whether the same thing has been noted before, at whatever instant.
    pub(crate) fn has_breach(&self, breach: &HealthBreach) -> bool {
        self.breaches.iter().any(|b| same_breach(b, breach))
    }
}

fn same_breach(a: &HealthBreach, b: &HealthBreach) -> bool {
    (&a.component, &a.pod, &a.reason, &a.detail) == (&b.component, &b.pod, &b.reason, &b.detail)
}

/// The entry as one line, without its end.
pub(crate) fn encode(entry: &Entry) -> String {
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
            "e {} {} {} {} {} {} {} {} {} {}",
            e.index,
            e.kind,
            e.component,
            or_dash(&e.pod),
            or_dash(&e.uid),
            e.planned_at.as_millisecond(),
            instant_or_dash(e.injected_at),
            instant_or_dash(e.recovered_at),
            result_name(e.result),
            or_dash(&e.reason)
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
            planned_at: instant(words.next()?)?,
            injected_at: optional_instant(words.next()?)?,
            recovered_at: optional_instant(words.next()?)?,
            result: named_result(words.next()?)?,
            reason: text(words.next()?),
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

const RESULTS: [(EventResult, &str); 4] = [
    (EventResult::Injected, "Injected"),
    (EventResult::Skipped, "Skipped"),
    (EventResult::Abandoned, "Abandoned"),
    (EventResult::Presumed, "Presumed"),
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
                (prop::option::of(word()), prop::option::of("[0-9a-f]{8}")),
                (at(), prop::option::of(at()), prop::option::of(at())),
                0_usize..4,
                prop::option::of("[A-Z][A-Za-z]{0,20}"),
            )
                .prop_map(
                    |(
                        index,
                        component,
                        (pod, uid),
                        (planned_at, injected_at, recovered_at),
                        result,
                        reason,
                    )| {
                        Entry::Event(EventRecord {
                            index,
                            kind: "podKill".into(),
                            component,
                            pod: pod.unwrap_or_default(),
                            uid: uid.unwrap_or_default(),
                            planned_at,
                            injected_at,
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

    proptest! {
        #[test]
        fn what_is_written_is_read_again(entry in entry()) {
            prop_assert_eq!(decode(&encode(&entry)), Some(entry));
        }

        #[test]
        fn an_entry_written_twice_is_read_once(entries in prop::collection::vec(entry(), 0..30)) {
            let once: String = entries.iter().map(|e| encode(e) + "\n").collect();
            let twice: String = entries.iter().flat_map(|e| [encode(e), encode(e)]).map(|l| l + "\n").collect();
            let (once, twice) = (Journal::read([&*once], 0).expect("readable"), Journal::read([&*twice], 0).expect("readable"));
            prop_assert_eq!(once.incarnations, twice.incarnations);
            prop_assert_eq!(once.events, twice.events);
            prop_assert_eq!(once.breaches, twice.breaches);
        }

        #[test]
        fn a_journal_that_lost_an_entry_is_torn(entries in prop::collection::vec(entry(), 1..30)) {
            let text: String = entries[1..].iter().map(|e| encode(e) + "\n").collect();
            let expected = u32::try_from(entries.len()).expect("few");
            let torn = JournalError::Torn { found: entries.len() - 1, expected };
            prop_assert_eq!(Journal::read([&*text], expected), Err(torn));
        }

        #[test]
        fn no_line_makes_reading_panic(line in ".{0,80}") {
            let _ = Journal::read([&*line], 0);
        }
    }

    #[test]
    fn a_line_cut_short_is_unreadable() {
        let line = "e 3 podKill worker pod uid 1763850100400";
        assert_eq!(
            Journal::read([line], 0),
            Err(JournalError::Unreadable(line.into()))
        );
    }
}
