//! What judging costs against merely reading the same file, and how that grows with the size of a soak.
//!
//! `make bench`. Seconds differ from machine to machine; ratios and exponents, both sides of which are measured in the
//! same run, hardly do.

#![allow(clippy::expect_used, reason = "a bench that cannot measure stops")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use soak_verdict::Recording;

/// What a judgement of 1,000 series of 1,440 samples may take on one core.
const MOST_SECONDS: f64 = 1.0;
const MOST_MEBIBYTES: f64 = 200.0;

/// Of so many tries the quickest counts: whatever else runs on the machine only ever slows one down.
const TRIES: usize = 3;

/// A fleet to judge: `pods` of one component, each with a series for each of `labels`.
#[derive(Clone, Copy)]
struct Fleet {
    pods: usize,
    labels: usize,
    samples: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [peak, what, file] if peak == "--peak" => print_peak(what, Path::new(file)),
        // `cargo test --benches` comes here too, and wants no numbers.
        all if all.iter().any(|one| one == "--bench") => compare(),
        _ => {}
    }
}

fn compare() {
    let fleet = |pods, labels, samples| Fleet {
        pods,
        labels,
        samples,
    };
    println!("\nThe default trend of 1,000 series of 1,440 samples, on one core");
    println!(
        "{:<28} {:>9} {:>9} {:>11} {:>12} {:>12}",
        "", "read", "judge", "judge/read", "peak, read", "peak, judged"
    );
    let mut slowest = 0.0_f64;
    let mut largest = 0.0_f64;
    for (pods, labels) in [(1_000, 1), (100, 10), (10, 100)] {
        let json = fleet(pods, labels, 1_440).json();
        let (read, judge) = seconds(&json);
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fleet.json");
        std::fs::write(&file, &json).expect("failed to write the recording");
        let (peak_read, peak_judged) = (peak("read", &file), peak("judge", &file));
        let name = match labels {
            1 => format!("{pods} pods"),
            _ => format!("{pods} pods x {labels} labels"),
        };
        println!(
            "{name:<28} {read:>7.3} s {judge:>7.3} s {:>11.2} {peak_read:>8.0} MiB {peak_judged:>8.0} MiB",
            judge / read
        );
        slowest = slowest.max(judge);
        largest = largest.max(peak_judged);
    }
    println!(
        "slowest {slowest:.2} s of {MOST_SECONDS} s, largest {largest:.0} MiB of {MOST_MEBIBYTES} MiB: {}",
        if slowest < MOST_SECONDS && largest < MOST_MEBIBYTES {
            "within bounds"
        } else {
            "OUT OF BOUNDS"
        }
    );

    println!("\nGrowth of the cost of judging: an exponent of 1 is linear, n log n is up to 1.2");
    println!(
        "{:<28} {:>9} {:>9} {:>9} {:>11} {:>11}",
        "", "n", "2n", "4n", "n to 2n", "2n to 4n"
    );
    let times = |n: usize| [n, 2 * n, 4 * n];
    for (name, fleets) in [
        (
            "pods, n = 250",
            times(250).map(|pods| fleet(pods, 1, 1_440)),
        ),
        (
            "labels of 25 pods, n = 10",
            times(10).map(|labels| fleet(25, labels, 1_440)),
        ),
        (
            "samples of 250 pods, n = 1440",
            times(1_440).map(|samples| fleet(250, 1, samples)),
        ),
        (
            "samples of 3 pods, n = 1440",
            times(1_440).map(|samples| fleet(3, 1, samples)),
        ),
    ] {
        let [first, second, third] = fleets.map(|fleet| seconds(&fleet.json()).1);
        println!(
            "{name:<28} {first:>7.3} s {second:>7.3} s {third:>7.3} s {:>11.2} {:>11.2}",
            (second / first).log2(),
            (third / second).log2()
        );
    }
}

/// How long it takes to read a recording, and to judge it once read.
fn seconds(json: &[u8]) -> (f64, f64) {
    let mut quickest = (f64::INFINITY, f64::INFINITY);
    for _ in 0..TRIES {
        let start = processor_seconds();
        let recording = black_box(read(json));
        let between = processor_seconds();
        black_box(recording.judge());
        let (read, judged) = (between - start, processor_seconds() - between);
        quickest = (quickest.0.min(read), quickest.1.min(judged));
    }
    quickest
}

/// How long this thread has been at work, which other work on the machine does not lengthen as it does time on the wall.
fn processor_seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let wall = START.elapsed().as_secs_f64();
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .map_or(wall, |nanoseconds| nanoseconds / 1e9)
}

fn read(json: &[u8]) -> Recording {
    serde_json::from_slice(json).expect("a recording")
}

/// The most memory that a process of its own holds which does one thing to a file, in MiB.
fn peak(what: &str, file: &Path) -> f64 {
    let program = std::env::current_exe().expect("the bench knows where it is");
    let output = Command::new(program)
        .args(["--peak", what])
        .arg(file)
        .output()
        .expect("failed to run the bench again");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or(f64::NAN)
}

fn print_peak(what: &str, file: &Path) {
    let json = std::fs::read(file).expect("failed to read the recording");
    let recording = read(&json);
    if what == "judge" {
        black_box(recording.judge());
    }
    black_box(&recording);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| {
            rest.trim()
                .trim_end_matches("kB")
                .trim()
                .parse::<f64>()
                .ok()
        });
    println!("{}", peak.map_or(f64::NAN, |kibibytes| kibibytes / 1024.0));
}

impl Fleet {
    /// Memory scraped every 15 s at offsets of each pod's own, with a warm-up, load that comes and goes, and
    /// first-order autoregressive noise: enough of everything that the judge looks at more than straight lines.
    fn json(self) -> Vec<u8> {
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let mut uniform = move || (dice.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut json =
            String::from(r#"{"signal":"memory","step_seconds":15,"warmup_seconds":600,"series":["#);
        let length = 15.0 * self.samples as f64;
        for pod in 0..self.pods {
            let offset = 15.0 * uniform();
            for label in 0..self.labels {
                if pod + label > 0 {
                    json.push(',');
                }
                let _ = write!(
                    json,
                    r#"{{"pod":"worker-{pod}","labels":{{"part":"part-{label}"}},"samples":["#
                );
                let level = 2e8 * (0.8 + 0.4 * uniform());
                let mut wander = 0.0;
                for i in 0..self.samples {
                    let t = offset + 15.0 * i as f64;
                    // The sum of three even draws is near enough to a normal one.
                    let fresh = 2.0 * (uniform() + uniform() + uniform()) - 3.0;
                    wander = 0.9 * wander + 0.44 * fresh;
                    let load = 0.03 * (std::f64::consts::TAU * 3.0 * t / length).sin();
                    let warm = 0.5 * (-t / 200.0).exp();
                    let value = level * (1.0 + load - warm + 0.01 * wander);
                    let comma = if i > 0 { "," } else { "" };
                    let _ = write!(json, "{comma}[{:.3},{value:.0}]", 1_700_000_000.0 + t);
                }
                json.push_str("]}");
            }
        }
        json.push_str("]}");
        json.into_bytes()
    }
}
