//! Whatever the judges are given, they answer: inputs that nobody would send, until the time is up.
//!
//! Half of the inputs are files, bent at the level of bytes; half are runs and criteria, bent field by field. Each is
//! drawn from its own number, so that one that was too much for the judges can be had again.

use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use soak_verdict::{CriterionKind, Judgement, Outcome, Recording, Run, judge};

use crate::dice::Dice;
use crate::odd;

/// An answer that takes longer is a hang.
const LONGEST: Duration = Duration::from_secs(60);

/// Looks for input that the judges cannot bear.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// For how long.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Where the inputs come from; one of its own each time where left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Judge only the input of this number.
    #[arg(long, requires = "seed")]
    number: Option<u64>,
    /// Judge only this file.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Where an input is kept that was too much.
    #[arg(long, default_value = ".")]
    keep: PathBuf,
}

/// What is being judged, for whoever has to tell of it.
struct Current {
    since: Instant,
    number: u64,
    input: Option<Input>,
}

#[derive(Clone)]
enum Input {
    File(Vec<u8>),
    Run(Box<(CriterionKind, Run)>),
}

static CURRENT: Mutex<Option<Current>> = Mutex::new(None);

impl Fuzz {
    pub(crate) fn run(&self) {
        let seed = self.seed.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(0, |now| now.as_secs())
        });
        println!("seed {seed}");
        let keep = self.keep.clone();
        std::panic::set_hook(Box::new(move |panic| give_up(&told(panic), seed, &keep)));
        if let Some(file) = &self.file {
            let bytes = std::fs::read(file).unwrap_or_default();
            println!("{}", answer(0, Input::File(bytes)));
            return;
        }
        if let Some(number) = self.number {
            println!("{}", answer(number, draw(seed, number)));
            return;
        }
        let keep = self.keep.clone();
        std::thread::spawn(move || watch(seed, &keep));
        let end = Instant::now() + Duration::from_secs_f64(60.0 * self.minutes);
        let judged = AtomicU64::new(0);
        let mut outcomes = [0_u64; 4];
        while Instant::now() < end {
            let number = judged.fetch_add(1, Ordering::Relaxed);
            outcomes[answer(number, draw(seed, number)).index()] += 1;
        }
        let [passed, failed, inconclusive, unread] = outcomes;
        println!(
            "{} inputs without a panic or a hang: {passed} passed, {failed} failed, {inconclusive} inconclusive, {unread} could not be read",
            judged.into_inner()
        );
    }
}

/// What came of one input.
enum Answer {
    Judged(Outcome),
    Unread,
}

impl Answer {
    fn index(&self) -> usize {
        match self {
            Self::Judged(Outcome::Passed) => 0,
            Self::Judged(Outcome::Failed) => 1,
            Self::Judged(Outcome::Inconclusive) => 2,
            Self::Unread => 3,
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Judged(outcome) => write!(f, "{outcome:?}"),
            Self::Unread => f.write_str("could not be read"),
        }
    }
}

fn draw(seed: u64, number: u64) -> Input {
    let mut dice = Dice::new(seed, number);
    if number.is_multiple_of(2) {
        Input::File(odd::file(&mut dice))
    } else {
        Input::Run(Box::new((odd::criterion(&mut dice), odd::run(&mut dice))))
    }
}

fn answer(number: u64, input: Input) -> Answer {
    set_current(Some(Current {
        since: Instant::now(),
        number,
        input: Some(input.clone()),
    }));
    let answer = match input {
        Input::File(bytes) => match serde_json::from_slice::<Recording>(&bytes) {
            Ok(recording) => {
                let report = recording.judge();
                for judged in &report.criteria {
                    check(&judged.judgement, recording.gaps.is_empty());
                }
                Answer::Judged(report.outcome)
            }
            Err(_) => Answer::Unread,
        },
        Input::Run(input) => {
            let (criterion, run) = *input;
            let judgement = judge(&criterion, &run);
            let loaded =
                criterion.per().is_none() || run.load.iter().any(|one| !one.samples.is_empty());
            check(&judgement, run.gaps.is_empty() && loaded);
            if let (CriterionKind::Growth(..) | CriterionKind::Trend(..), Outcome::Passed) =
                (&criterion, judgement.outcome)
            {
                let high = judgement.interval.map(|interval| interval.high);
                assert!(
                    high.is_some_and(|high| high <= judgement.limit),
                    "passed beyond its limit: {judgement:?}"
                );
            }
            Answer::Judged(judgement.outcome)
        }
    };
    set_current(None);
    answer
}

/// What every judgement keeps to.
fn check(judgement: &Judgement, complete: bool) {
    assert!(!judgement.sentence.is_empty(), "says nothing");
    if judgement.outcome == Outcome::Passed {
        let interval = judgement.interval;
        assert!(
            complete && interval.is_some_and(|i| i.low.is_finite() && i.high.is_finite()),
            "passed without proof: {judgement:?}"
        );
    }
}

fn set_current(current: Option<Current>) {
    if let Ok(mut now) = CURRENT.lock() {
        *now = current;
    }
}

fn watch(seed: u64, keep: &Path) {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let hangs = CURRENT.lock().is_ok_and(|current| {
            let since = current.as_ref().map(|current| current.since);
            since.is_some_and(|since| since.elapsed() > LONGEST)
        });
        if hangs {
            give_up(&format!("no answer within {LONGEST:?}"), seed, keep);
        }
    }
}

fn told(panic: &PanicHookInfo<'_>) -> String {
    format!("{panic}\n{}", std::backtrace::Backtrace::force_capture())
}

/// Tells what was too much, keeps it, and ends the program: after a panic the judges' state is nobody's business.
fn give_up(what: &str, seed: u64, keep: &Path) -> ! {
    eprintln!("{what}");
    let current = CURRENT.lock().ok().and_then(|mut current| current.take());
    if let Some(Current { number, input, .. }) = current {
        let path = |kind: &str| keep.join(format!("fuzz-{seed}-{number}.{kind}"));
        let (path, content, again) = match input {
            Some(Input::File(bytes)) => {
                let path = path("json");
                let again = format!("--file {}", path.display());
                (path, bytes, again)
            }
            other => {
                let text = other.map_or(String::new(), |input| match input {
                    Input::Run(input) => format!("{input:#?}"),
                    Input::File(_) => String::new(),
                });
                let again = format!("--seed {seed} --number {number}");
                (path("txt"), text.into_bytes(), again)
            }
        };
        match std::fs::write(&path, content) {
            Ok(()) => eprintln!("kept in {}; again with: lab fuzz {again}", path.display()),
            Err(error) => eprintln!("failed to keep {}: {error}", path.display()),
        }
    }
    std::process::abort()
}
