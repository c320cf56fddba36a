//! What goes wrong in a run, and how often.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The dice of one part of a run. Each part has its own, so that one more draw here changes nothing there.
#[derive(Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64, part: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(part);
        Self(generator)
    }

    /// True in so many of a thousand cases.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.0.next_u64() % 1_000 < per_mille
    }

    /// Evenly drawn, both ends included.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.next_u64() % (most - least + 1)
    }

    /// How bad a trouble is, up to `most`, that comes in so many of a thousand runs; nothing in the others.
    fn trouble(&mut self, runs: u64, most: u64) -> u64 {
        if self.chance(runs) {
            self.between(1, most)
        } else {
            0
        }
    }
}

/// Somebody else, whose NetworkPolicy selects all pods for a while, and what operators may know of it.
#[derive(Debug)]
pub(super) struct Meddler {
    dice: Dice,
    /// When it came last.
    came: Timestamp,
    /// When each operator looked, and as of when it was told.
    looks: BTreeMap<String, Vec<(Timestamp, Timestamp)>>,
}

impl Meddler {
    const STAYS: SignedDuration = SignedDuration::from_secs(20);

    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed, 3),
            came: Timestamp::MIN,
            looks: BTreeMap::new(),
        }
    }

    /// Whether the policy comes now, as it does in so many of a thousand cases.
    pub(super) fn comes(&mut self, per_mille: u64, now: Timestamp) -> bool {
        let comes = !self.is_there(now) && self.dice.chance(per_mille);
        if comes {
            self.came = now;
        }
        comes
    }

    fn is_there(&self, at: Timestamp) -> bool {
        self.came <= at && at.duration_since(self.came) < Self::STAYS
    }

    /// Whether an operator that looks is told of the policy. What comes from a cache may be a second old.
    pub(super) fn seen(&mut self, operator: &str, from_cache: bool, now: Timestamp) -> bool {
        let most = if from_cache { 1_000 } else { 0 };
        let lag = i64::try_from(self.dice.between(0, most)).unwrap_or(0);
        let as_of = now - SignedDuration::from_millis(lag);
        let looks = self.looks.entry(operator.to_owned()).or_default();
        looks.push((now, as_of));
        self.is_there(as_of)
    }

    /// Whether the policy is there now and the operator knew, or had not looked since, when it asked.
    pub(super) fn is_overlooked(&self, operator: &str, asked: Timestamp, now: Timestamp) -> bool {
        let mut looks = self.looks.get(operator).into_iter().flatten().rev();
        let last = looks.find(|(at, _)| *at <= asked);
        let could_not_know = last.is_some_and(|(at, as_of)| *at >= self.came && *as_of < self.came);
        self.is_there(now) && self.came <= asked && !could_not_know
    }
}

/// Trouble that nobody ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Prometheus goes away a few minutes after the begin.
    Blind,
    /// No pod gets ready.
    NeverReady,
}

/// How often each kind of trouble comes, per thousand occasions.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a trouble of its own, and any of them may come together"
)]
pub(super) struct Faults {
    /// A request is refused with 429 or 500 and nothing is done.
    pub(super) refused: u64,
    /// A request hangs until its client gives up; it is done in half of the cases.
    pub(super) hangs: u64,
    /// A request is done and its answer is lost.
    pub(super) lost: u64,
    /// The operator is killed while it waits for an answer, before or after the request is done.
    pub(super) killed: u64,
    /// The watch lags for seconds, from an event on.
    pub(super) lags: u64,
    /// The watch begins anew.
    pub(super) relists: u64,
    /// A pod takes most of a minute to start.
    pub(super) slow_start: u64,
    /// A container of the workload ends by itself, in a second.
    pub(super) crashes: u64,
    /// Somebody else deletes a pod, in a second.
    pub(super) deletions: u64,
    /// Prometheus goes away for up to a minute, in a second: it neither scrapes nor answers.
    pub(super) blind: u64,
    /// An operator is stopped for up to half a minute, in a second, and then goes on.
    pub(super) stopped: u64,
    /// An operator is told to stop, in a second, as it is when another version takes its place.
    pub(super) replaced: u64,
    /// There is one operator, and nobody who takes over from it.
    pub(super) alone: bool,
    /// No status can be written for minutes, in a second, whatever else the API server does.
    pub(super) unwritten: u64,
    /// The workload does not hear that it is to drain, or to crash.
    pub(super) deaf: u64,
    /// A disruption budget keeps a pod from being evicted.
    pub(super) over_budget: u64,
    /// Nobody enforces NetworkPolicies.
    pub(super) unenforced: bool,
    /// An autoscaler scales the workers, and another NetworkPolicy selects them.
    pub(super) hindered: bool,
    /// Another NetworkPolicy selects a pod for a while from when it is marked for its event.
    pub(super) meddles: u64,
    /// The operator may not undo anything.
    pub(super) stuck: bool,
    /// Nothing of the workload can be deleted until the soak is over, not even where nothing else goes wrong any more; what is
    /// refused takes up to a second and a half.
    pub(super) undeletable: bool,
    /// No deletion but a pod's is answered until the soak is over, and none is done, not even where nothing else goes wrong.
    pub(super) unanswered: bool,
    /// What never comes right.
    pub(super) ends: Option<End>,
}

impl Faults {
    /// A mixture of troubles: most runs have a few, some none, some all of them.
    pub(super) fn drawn(seed: u64, dice: &mut Dice) -> Self {
        // What came later has dice of its own, so that the runs without it are what they were.
        let mut later = Dice::new(seed, 4);
        let (replaced, unwritten) = (later.trouble(300, 30), later.trouble(300, 15));
        let (alone, undeletable) = (later.chance(200), later.chance(100));
        let unanswered = later.chance(50);
        let mut trouble = |runs, most| dice.trouble(runs, most);
        Self {
            refused: trouble(400, 60),
            hangs: trouble(400, 10),
            lost: trouble(400, 60),
            killed: trouble(400, 12),
            lags: trouble(400, 300),
            relists: trouble(400, 50),
            slow_start: trouble(400, 150),
            crashes: trouble(150, 4),
            deletions: trouble(150, 40),
            blind: trouble(400, 3),
            stopped: trouble(400, 20),
            replaced,
            alone,
            unwritten,
            deaf: trouble(400, 300),
            over_budget: trouble(400, 500),
            unenforced: trouble(200, 1) > 0,
            hindered: trouble(100, 1) > 0,
            meddles: 300,
            stuck: trouble(100, 1) > 0,
            undeletable,
            unanswered,
            ends: match dice.between(0, 19) {
                0 => Some(End::Blind),
                1 => Some(End::NeverReady),
                _ => None,
            },
        }
    }
}
