//! The account of every partition: stored, received, lost. Pure: the readers feed it.

use std::collections::BTreeMap;

use crate::intervals::Intervals;
use crate::ledger::Entry;
use crate::message::Numbered;

/// The account of all partitions.
#[derive(Debug, Default)]
pub(super) struct Book {
    pages: BTreeMap<u32, Page>,
    /// By number of the stream.
    streams: BTreeMap<u32, Reading>,
}

/// How far a stream was read.
#[derive(Debug, Default)]
struct Reading {
    /// The place up to which it was read.
    to: u64,
    /// Its limits had let its head go before we read it: what came before the first number that
    /// is left of a partition cannot be known, and is not counted.
    headless: bool,
}

/// The account of one partition.
#[derive(Debug, Default)]
struct Page {
    /// Numbers up to here cannot be known.
    base: Option<u64>,
    stored: Intervals,
    received: Intervals,
    duplicated: u64,
    out_of_order: u64,
    revision: u64,
    /// Stored but not received: number to place in the stream.
    unreceived: BTreeMap<u64, u64>,
    /// Seen missing once, since the last confirmation.
    suspected: Intervals,
    /// Holes of the stream as of the last confirmation.
    holes: Intervals,
    /// Seen missing twice.
    lost: Intervals,
}

/// Counts of messages over all partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) stored: u64,
    pub(super) received: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    pub(super) lost: u64,
    pub(super) unreceived: u64,
}

impl Book {
    /// The stream with this number has this message. Call in the order of the stream.
    pub(super) fn stored(&mut self, stream: u32, message: &Numbered, sequence: u64) {
        let reading = self.streams.entry(stream).or_default();
        reading.headless |= reading.to == 0 && sequence > 1;
        reading.to = sequence;
        let headless = reading.headless;
        let page = self.pages.entry(message.partition).or_default();
        page.base
            .get_or_insert(if headless { message.number - 1 } else { 0 });
        if page.stored.insert(message.number) && !page.received.contains(message.number) {
            page.unreceived.insert(message.number, sequence);
        }
    }

    /// The ledger says this of a partition, as of `revision` of its bucket.
    pub(super) fn recorded(&mut self, partition: u32, entry: Entry, revision: u64) {
        let page = self.pages.entry(partition).or_default();
        if revision < page.revision {
            return;
        }
        page.revision = revision;
        page.unreceived
            .retain(|number, _| !entry.received.contains(*number));
        page.received = entry.received;
        page.duplicated = entry.duplicated;
        page.out_of_order = entry.out_of_order;
    }

    /// Counts holes in the numbers that the stream has stored, once they were there twice.
    pub(super) fn confirm_holes(&mut self) {
        for page in self.pages.values_mut() {
            let holes = page.stored.gaps_above(page.base.unwrap_or(0));
            page.lost.merge(&holes.intersection(&page.holes));
            page.holes = holes;
        }
    }

    /// Partitions with a number that is stored but not received, and the place in the partition's
    /// stream of the first such number.
    pub(super) fn waiting(&self) -> BTreeMap<u32, u64> {
        let first = |page: &Page| {
            page.unreceived
                .first_key_value()
                .map(|(_, sequence)| *sequence)
        };
        self.pages
            .iter()
            .filter_map(|(partition, page)| Some((*partition, first(page)?)))
            .collect()
    }

    /// Counts numbers that were acknowledged but never received, once they were seen twice.
    /// `ack_floor` must have been read before the ledger that was recorded last.
    pub(super) fn confirm_acked(&mut self, partition: u32, ack_floor: u64) {
        let page = self.pages.entry(partition).or_default();
        let acked: Intervals = page
            .unreceived
            .iter()
            .filter(|(_, sequence)| **sequence <= ack_floor)
            .map(|(number, _)| *number)
            .collect();
        page.lost.merge(&acked.intersection(&page.suspected));
        page.suspected = acked;
    }

    /// Counts all that is stored but not received: nobody will come for it any more.
    pub(super) fn give_up_waiting(&mut self) {
        for page in self.pages.values_mut() {
            let numbers: Intervals = page.unreceived.keys().copied().collect();
            page.lost.merge(&numbers);
        }
    }

    /// The place up to which the stream with this number was read; 0 before its first message.
    pub(super) fn read_to(&self, stream: u32) -> u64 {
        self.streams.get(&stream).map_or(0, |reading| reading.to)
    }

    pub(super) fn totals(&self) -> Totals {
        self.pages
            .values()
            .fold(Totals::default(), |sum, page| Totals {
                stored: sum.stored + page.stored.count(),
                received: sum.received + page.received.count(),
                duplicated: sum.duplicated + page.duplicated,
                out_of_order: sum.out_of_order + page.out_of_order,
                lost: sum.lost + page.lost.count(),
                unreceived: sum.unreceived + page.unreceived.len() as u64,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Batch;

    fn store(book: &mut Book, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            let sequence = book.read_to(0) + 1;
            book.stored(0, &Numbered::now(0, number), sequence);
        }
    }

    fn entry(numbers: impl IntoIterator<Item = u64>) -> Entry {
        let mut entry = Entry::default();
        let batch = Batch {
            numbers: numbers.into_iter().collect(),
            redelivered: 0,
        };
        entry.record("writer", 1, &batch);
        entry
    }

    #[test]
    fn everything_received_is_nothing_lost() {
        let mut book = Book::default();
        store(&mut book, 1..=5);
        book.recorded(0, entry(1..=5), 1);
        book.confirm_holes();
        book.confirm_holes();
        book.give_up_waiting();
        assert_eq!(
            book.totals(),
            Totals {
                stored: 5,
                received: 5,
                ..Totals::default()
            }
        );
    }

    #[test]
    fn a_hole_in_the_stream_is_lost_once_it_was_seen_twice_head_included() {
        let mut book = Book::default();
        store(&mut book, [3, 4, 7]);
        book.confirm_holes();
        assert_eq!(book.totals().lost, 0);
        book.confirm_holes();
        assert_eq!(book.totals().lost, 4);
    }

    #[test]
    fn a_stream_that_let_its_head_go_has_not_lost_it() {
        let mut book = Book::default();
        book.stored(0, &Numbered::now(0, 31), 100);
        book.stored(0, &Numbered::now(1, 40), 101);
        book.stored(0, &Numbered::now(1, 42), 102);
        book.confirm_holes();
        book.confirm_holes();
        assert_eq!(book.totals().lost, 1);
    }

    #[test]
    fn a_stream_that_let_its_head_go_says_nothing_of_another() {
        let mut book = Book::default();
        book.stored(1, &Numbered::now(16, 31), 100);
        book.stored(2, &Numbered::now(32, 3), 1);
        book.confirm_holes();
        book.confirm_holes();
        assert_eq!(book.totals().lost, 2);
        assert_eq!([0, 1, 2].map(|stream| book.read_to(stream)), [0, 100, 1]);
    }

    #[test]
    fn acknowledged_but_not_in_the_ledger_is_lost_once_it_was_seen_twice() {
        let mut book = Book::default();
        store(&mut book, 1..=5);
        book.recorded(0, entry([1, 2, 4]), 1);
        assert_eq!(book.waiting(), [(0, 3)].into());
        book.confirm_acked(0, 4);
        assert_eq!(book.totals().lost, 0);
        book.confirm_acked(0, 4);
        assert_eq!((book.totals().lost, book.totals().unreceived), (1, 2));
    }

    #[test]
    fn a_suspicion_that_the_ledger_clears_in_time_is_not_a_loss() {
        let mut book = Book::default();
        store(&mut book, 1..=2);
        book.confirm_acked(0, 2);
        book.recorded(0, entry(1..=2), 1);
        book.confirm_acked(0, 2);
        assert_eq!(book.totals().lost, 0);
        assert_eq!(book.waiting(), BTreeMap::new());
    }

    #[test]
    fn after_the_drain_what_never_came_is_lost() {
        let mut book = Book::default();
        store(&mut book, 1..=5);
        book.recorded(0, entry(1..=3), 1);
        book.give_up_waiting();
        book.give_up_waiting();
        assert_eq!(book.totals().lost, 2);
    }

    #[test]
    fn an_older_view_of_the_ledger_does_not_undo_a_newer_one() {
        let mut book = Book::default();
        store(&mut book, 1..=3);
        book.recorded(0, entry(1..=3), 9);
        book.recorded(0, entry(1..=1), 8);
        assert_eq!(book.totals().received, 3);
    }
}
