//! `lab`: how often the judges err, on labelled runs whose truth is known.
//!
//! Every kind of run has leaking and clean twins. A run is a leak if anything in it grows for good with the age of its
//! processes. Judges and the ways of today see the same runs.

mod baseline;
mod dice;
mod fuzz;
mod kinds;
mod odd;
mod scene;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Parser, Subcommand};
use soak_verdict::{Outcome, Recording};

use crate::dice::Dice;
use crate::fuzz::Fuzz;
use crate::kinds::KINDS;
use crate::scene::{Leak, Scene};

/// Judges labelled runs and prints how often that was right.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Twins of each kind.
    #[arg(long, default_value_t = 20)]
    runs: u64,
    /// Where the seeds begin; what is tuned on some is reported on others.
    #[arg(long, default_value_t = 1_000_000)]
    seed: u64,
    /// Only kinds whose name has this word.
    #[arg(long, default_value = "")]
    only: String,
    /// Watch what came out Inconclusive again, for as long as it advised.
    #[arg(long)]
    follow_advice: bool,
    /// Judge as soaks with failFast are: looked at while they run.
    #[arg(long)]
    fail_fast: bool,
    /// Print every wrong answer.
    #[arg(long)]
    verbose: bool,
}

/// Advice of more than this many seconds is not tried: it would take the laboratory too long.
const LONGEST_RERUN: f64 = 4.0 * 86_400.0;

#[derive(Subcommand)]
enum Command {
    Fuzz(Fuzz),
}

/// One judged run.
struct Case {
    kind: usize,
    leak: bool,
    outcome: Outcome,
    decidable: bool,
    /// Whether the interval holds the truth, where both are known.
    covered: Option<bool>,
    /// Whether a soak as long as an Inconclusive one advised did decide; `None` where it named no length.
    advised: Option<bool>,
    baselines: Vec<bool>,
}

fn main() {
    let options = Options::parse();
    if let Some(Command::Fuzz(fuzz)) = &options.command {
        return fuzz.run();
    }
    let chosen: Vec<usize> = (0..KINDS.len())
        .filter(|i| KINDS[*i].name.contains(&options.only))
        .collect();
    let jobs: Vec<(usize, u64, bool)> = chosen
        .iter()
        .flat_map(|kind| {
            (0..options.runs).flat_map(move |run| [(*kind, run, false), (*kind, run, true)])
        })
        .collect();
    let next = AtomicUsize::new(0);
    let cases = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((kind, run, leak)) =
                    jobs.get(next.fetch_add(1, Ordering::Relaxed)).copied()
                {
                    let case = examine(kind, options.seed + run, leak, &options);
                    if let Ok(mut cases) = cases.lock() {
                        cases.push(case);
                    }
                }
            });
        }
    });
    let cases = cases.into_inner().unwrap_or_default();
    print(&chosen, &cases);
}

fn examine(kind: usize, seed: u64, leak: bool, options: &Options) -> Case {
    let mut dice = Dice::new(seed, kind as u64);
    let (scene, leaks) = (KINDS[kind].draw)(&mut dice);
    let scene = if leak {
        Scene {
            leak: leaks,
            ..scene
        }
    } else {
        scene
    };
    let (recording, levels) = scene.record(&mut dice);
    let recording = if options.fail_fast {
        recording.failing_fast()
    } else {
        recording
    };
    let report = recording.judge();
    let outcome = report.outcome;
    let judged = &report.criteria[0].judgement;
    // The default trend: 5 % in 24 h, here in shares of the level over the duration.
    let days = 86_400.0 / scene.duration;
    let limit = 0.05 / days;
    let error = scene.oracle_error(&recording);
    let gained = scene.truth().unwrap_or_else(|| worth(&scene));
    // Decided in 95 of 100 repetitions by somebody who knows everything but the slope.
    let decidable = (gained - limit).abs() >= (1.96 + 1.645) * error;
    let covered = scene
        .truth()
        .filter(|_| scene.labels == 1 && !judged.sentence.contains(" alone "))
        .and_then(|gain| {
            let interval = judged.interval?;
            let percent = 100.0 * days * gain * base(&scene, &recording, &levels)?;
            Some(interval.low <= percent && percent <= interval.high)
        });
    let advised = judged
        .decided_after_seconds
        .filter(|seconds| options.follow_advice && seconds + scene.warm_up < LONGEST_RERUN)
        .map(|seconds| {
            let longer = scene.for_longer(seconds + scene.warm_up);
            let again = longer.record(&mut dice).0.judge();
            if options.verbose {
                println!(
                    "{} seed {seed} leak {leak} advised {:.1}h came out {:?}: {} AFTER {}",
                    KINDS[kind].name,
                    seconds / 3_600.0,
                    again.outcome,
                    again.criteria[0].judgement.sentence,
                    judged.sentence,
                );
            }
            again.outcome != Outcome::Inconclusive
        });
    let wrong = matches!(
        (leak, outcome),
        (true, Outcome::Passed | Outcome::Inconclusive) | (false, Outcome::Failed)
    );
    if options.verbose
        && (wrong || (decidable && outcome == Outcome::Inconclusive) || covered == Some(false))
    {
        println!(
            "{} seed {seed} leak {leak} {outcome:?} decidable {decidable} covered {covered:?} {:?} noise {:.4} phi {}: {}",
            KINDS[kind].name, scene.leak, scene.noise, scene.correlation, judged.sentence
        );
    }
    let total = baseline::total(&recording);
    Case {
        kind,
        leak,
        outcome,
        decidable,
        covered,
        advised,
        baselines: baseline::DETECTORS
            .iter()
            .map(|(_, detect)| detect(&total))
            .collect(),
    }
}

/// What a leak without one number is worth over the duration, of the mean pod.
fn worth(scene: &Scene) -> f64 {
    match scene.leak {
        Leak::None => 0.0,
        Leak::Steady(total) | Leak::Accelerating(total) | Leak::Stairs(total, _) => total,
        Leak::PerKill(each) => scene
            .kills
            .map_or(0.0, |(a, b)| each * scene.duration / f64::midpoint(a, b)),
        Leak::OnePod(total) => total / (scene.pods as f64).sqrt(),
        Leak::OneLabel(total) => total / scene.labels as f64,
    }
}

/// How a gain, which is a share of a pod's true level, relates to what the percentage is of: what the median pod reads
/// at the start of the trend's window. Growth is that of the mean pod.
fn base(scene: &Scene, recording: &Recording, levels: &[f64]) -> Option<f64> {
    let from = f64::midpoint(scene.warm_up, scene.duration);
    let until = from + 0.1 * (scene.duration - scene.warm_up);
    let mut read: Vec<f64> = Vec::new();
    for series in &recording.series {
        let warm = series.start_unix.unwrap_or(0.0) + scene.warm_up;
        let early = (series.samples.iter())
            .filter(|s| s.t >= from.max(warm) && s.t < until && s.v.is_finite());
        read.extend(early.map(|s| s.v));
    }
    let mean = levels.iter().sum::<f64>() / levels.len() as f64;
    let middle = read.len() / 2;
    let (_, median, _) = read
        .get_mut(..)?
        .select_nth_unstable_by(middle, f64::total_cmp);
    // Of a sawtooth the floor is judged, half a tooth below what it reads in the middle.
    Some(mean / (*median - scene.teeth.0 / 2.0 * scene.level))
}

fn share(part: usize, whole: usize) -> String {
    if whole == 0 {
        "-".to_owned()
    } else {
        format!("{:.1}", 100.0 * part as f64 / whole as f64)
    }
}

fn print(chosen: &[usize], cases: &[Case]) {
    println!(
        "{:<30} {:>8} {:>8} {:>8} | {:>8} {:>8} {:>8} | {:>9} {:>8} {:>8}",
        "%",
        "leak:",
        "failed",
        "inconcl",
        "clean:",
        "failed",
        "inconcl",
        "undecided",
        "covered",
        "advice"
    );
    let rows = chosen.iter().map(|kind| (KINDS[*kind].name, vec![*kind]));
    let rows = rows.chain(std::iter::once(("all", chosen.to_vec())));
    for (name, of) in rows {
        let cases: Vec<&Case> = cases
            .iter()
            .filter(|case| of.contains(&case.kind))
            .collect();
        let count = |leak: bool, outcome: Outcome| {
            cases
                .iter()
                .filter(|c| c.leak == leak && c.outcome == outcome)
                .count()
        };
        let leaks = cases.iter().filter(|c| c.leak).count();
        let clean = cases.len() - leaks;
        let decidable: Vec<_> = cases.iter().filter(|c| c.decidable).collect();
        let open = decidable
            .iter()
            .filter(|c| c.outcome == Outcome::Inconclusive)
            .count();
        let known: Vec<bool> = cases.iter().filter_map(|c| c.covered).collect();
        let followed: Vec<bool> = cases.iter().filter_map(|c| c.advised).collect();
        println!(
            "{name:<30} {:>8} {:>8} {:>8} | {:>8} {:>8} {:>8} | {:>9} {:>8} {:>8}",
            leaks,
            share(count(true, Outcome::Failed), leaks),
            share(count(true, Outcome::Inconclusive), leaks),
            clean,
            share(count(false, Outcome::Failed), clean),
            share(count(false, Outcome::Inconclusive), clean),
            share(open, decidable.len()),
            share(known.iter().filter(|c| **c).count(), known.len()),
            share(followed.iter().filter(|c| **c).count(), followed.len()),
        );
    }
    println!(
        "\n{:<30} {:>9} {:>8} {:>8} {:>13}",
        "%", "precision", "recall", "F1", "false alarms"
    );
    let ours = |case: &Case| case.outcome == Outcome::Failed;
    score("soak-verdict", cases, &ours);
    let decidable = |case: &&Case| case.decidable;
    score_of("  of decidable runs", cases.iter().filter(decidable), &ours);
    for (i, (name, _)) in baseline::DETECTORS.iter().enumerate() {
        score(name, cases, &|case: &Case| case.baselines[i]);
    }
}

fn score(name: &str, cases: &[Case], says: &dyn Fn(&Case) -> bool) {
    score_of(name, cases.iter(), says);
}

fn score_of<'a>(name: &str, cases: impl Iterator<Item = &'a Case>, says: &dyn Fn(&Case) -> bool) {
    let (mut hit, mut miss, mut alarm, mut quiet) = (0, 0, 0, 0);
    for case in cases {
        match (case.leak, says(case)) {
            (true, true) => hit += 1,
            (true, false) => miss += 1,
            (false, true) => alarm += 1,
            (false, false) => quiet += 1,
        }
    }
    println!(
        "{name:<30} {:>9} {:>8} {:>8} {:>13}",
        share(hit, hit + alarm),
        share(hit, hit + miss),
        share(2 * hit, 2 * hit + miss + alarm),
        share(alarm, alarm + quiet),
    );
}
