//! One run: what its pods do, composed of effects that can be switched on one by one.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use soak_verdict::{RecordedEvent, RecordedSeries, RecordedSignal, Recording, Sample};

use crate::dice::Dice;

/// The scene of a run. All amounts are shares of a pod's level, all times seconds.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) signal: RecordedSignal,
    pub(crate) pods: usize,
    pub(crate) level: f64,
    /// How far the levels of pods lie apart.
    pub(crate) spread: f64,
    pub(crate) duration: f64,
    pub(crate) step: f64,
    pub(crate) warm_up: f64,
    /// Autoregressive noise: its deviation, and its correlation from one sample to the next.
    pub(crate) noise: f64,
    pub(crate) correlation: f64,
    pub(crate) whole_numbers: bool,
    /// A start below the level, and how fast it comes up.
    pub(crate) warm: (f64, f64),
    /// A cache that fills: by how much, and how fast.
    pub(crate) cache: (f64, f64),
    /// The least and most time between kills.
    pub(crate) kills: Option<(f64, f64)>,
    /// Pods keep their names over restarts.
    pub(crate) named: bool,
    /// What survivors have more after a kill, and for how long.
    pub(crate) lift: (f64, f64),
    /// Load that all pods share: amplitude, period, phase.
    pub(crate) load: (f64, f64, f64),
    /// Under which name the load is recorded beside the signal, and growth is judged at equal load.
    pub(crate) per: Option<&'static str>,
    /// Teeth: height and period.
    pub(crate) teeth: (f64, f64),
    /// One change of level for good, of all pods or of one: by how much, and when.
    pub(crate) shift: Option<(f64, f64, bool)>,
    /// Pods are added one after the other.
    pub(crate) ramp: bool,
    pub(crate) leak: Leak,
    pub(crate) labels: usize,
    pub(crate) dirt: Dirt,
}

/// What grows for good, over the duration or at each event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Leak {
    None,
    /// Evenly with a process' age: by so much over the duration.
    Steady(f64),
    /// Faster and faster, by so much over the duration.
    Accelerating(f64),
    /// In equal steps, by so much over the duration in so many.
    Stairs(f64, f64),
    /// In every survivor at each kill.
    PerKill(f64),
    /// Evenly, in the first pod alone.
    OnePod(f64),
    /// Evenly, in the first label alone; a share of that label's level.
    OneLabel(f64),
}

/// What scraping does to the samples, in shares of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dirt {
    pub(crate) missed: f64,
    pub(crate) null: f64,
    pub(crate) doubled: f64,
    pub(crate) outliers: f64,
    pub(crate) shuffled: bool,
}

impl Scene {
    /// Six pods for six hours, scraped every 15 s: nothing happens.
    pub(crate) fn quiet(dice: &mut Dice) -> Self {
        let memory = dice.chance(0.5);
        Self {
            signal: if memory {
                RecordedSignal::Memory
            } else {
                RecordedSignal::Tasks
            },
            pods: dice.one_of(&[3, 4, 6, 8, 12]),
            level: if memory {
                dice.scale(50e6, 2e9)
            } else {
                dice.scale(60.0, 5000.0)
            },
            spread: dice.between(0.0, 0.15),
            duration: 21_600.0,
            step: 15.0,
            warm_up: 600.0,
            noise: dice.scale(0.003, 0.04),
            correlation: dice.one_of(&[0.0, 0.5, 0.8, 0.9, 0.95]),
            whole_numbers: !memory,
            warm: (dice.between(0.1, 0.5), dice.between(20.0, 120.0)),
            cache: (0.0, 1.0),
            kills: None,
            named: dice.chance(0.5),
            lift: (0.0, 0.0),
            load: (0.0, 1.0, 0.0),
            per: None,
            teeth: (0.0, 1.0),
            shift: None,
            ramp: false,
            leak: Leak::None,
            labels: 1,
            dirt: Dirt::default(),
        }
    }

    /// The same scene watched for longer: what leaks goes on as it did.
    pub(crate) fn for_longer(&self, duration: f64) -> Self {
        let times = duration / self.duration;
        let leak = match self.leak {
            Leak::Steady(total) => Leak::Steady(total * times),
            Leak::Accelerating(total) => Leak::Accelerating(total * times * times),
            Leak::Stairs(total, steps) => Leak::Stairs(total * times, steps * times),
            Leak::OnePod(total) => Leak::OnePod(total * times),
            Leak::OneLabel(total) => Leak::OneLabel(total * times),
            Leak::None | Leak::PerKill(_) => self.leak,
        };
        Self {
            duration,
            leak,
            ..self.clone()
        }
    }

    /// What a pod that leaks gains over the duration, evenly, as a share of its level; `None` where that is no one
    /// number.
    pub(crate) fn truth(&self) -> Option<f64> {
        match self.leak {
            Leak::None => Some(0.0),
            Leak::Steady(total) => Some(total),
            _ => None,
        }
    }

    /// The doubt about that number, as a standard error, of somebody who knows the noise and when and how fast
    /// everything happens, but neither how much nor the levels.
    pub(crate) fn oracle_error(&self, recording: &Recording) -> f64 {
        // Values that resemble their neighbours are worth fewer of them; every tenth stands for its like.
        let worth = 10.0 * (1.0 - self.correlation) / (1.0 + self.correlation);
        let mut sums =
            vec![vec![0.0; 1 + self.known(0.0, 0.0).len()]; 1 + self.known(0.0, 0.0).len()];
        for series in recording.series.iter().step_by(self.labels) {
            let start = series.start_unix.unwrap_or(0.0);
            let warm = series
                .samples
                .iter()
                .filter(|s| s.t >= start + self.warm_up);
            let rows: Vec<Vec<f64>> = warm
                .step_by(10)
                .map(|s| {
                    let mut row = vec![s.t / self.duration];
                    row.extend(self.known(s.t, s.t - start));
                    row
                })
                .collect();
            let count = rows.len() as f64;
            let means: Vec<f64> = (0..sums.len())
                .map(|i| rows.iter().map(|row| row[i]).sum::<f64>() / count)
                .collect();
            for row in &rows {
                for (i, line) in sums.iter_mut().enumerate() {
                    for (j, sum) in line.iter_mut().enumerate() {
                        *sum += worth * (row[i] - means[i]) * (row[j] - means[j]);
                    }
                }
            }
        }
        // What is left of the slope's information when everything else has taken its share.
        for pivot in (1..sums.len()).rev() {
            let (above, below) = sums.split_at_mut(pivot);
            let known = &below[0];
            for line in above.iter_mut().filter(|_| known[pivot] > 1e-9) {
                let share = line[pivot] / known[pivot];
                for (entry, taken) in line.iter_mut().zip(known) {
                    *entry -= share * taken;
                }
            }
        }
        self.noise / sums[0][0].max(1e-12).sqrt()
    }

    /// What happens at an instant and at an age, beside growth, in units of its own.
    fn known(&self, t: f64, age: f64) -> Vec<f64> {
        let mut known = Vec::new();
        if self.per.is_some() {
            known.push(self.load_at(t));
        } else if self.load.0 > 0.0 {
            let (sin, cos) = (TAU * t / self.load.1).sin_cos();
            known.extend([sin, cos]);
        }
        if self.cache.0 > 0.0 {
            known.push((-age / self.cache.1).exp());
        }
        if self.warm.1 > 200.0 {
            known.push((-age / self.warm.1).exp());
        }
        if let Some((_, at, true)) = self.shift {
            known.push(f64::from(u8::from(t >= at)));
        }
        known
    }

    /// What is seen of it, and the true level of each pod.
    pub(crate) fn record(&self, dice: &mut Dice) -> (Recording, Vec<f64>) {
        let mut slots: Vec<Pod> = (0..self.pods)
            .map(|slot| {
                let start = if self.ramp {
                    (slot / 2) as f64 * self.duration / self.pods as f64
                } else {
                    dice.between(0.0, 20.0)
                };
                Pod::new(self, slot, start, dice)
            })
            .collect();
        let mut gone = Vec::new();
        let mut events = Vec::new();
        if let Some((least, most)) = self.kills {
            let mut at = self.warm_up + dice.between(least, most);
            while at < self.duration - 60.0 {
                let slot = dice.below(self.pods);
                for (_, pod) in slots.iter_mut().enumerate().filter(|(i, _)| *i != slot) {
                    pod.kills.push(at);
                }
                let mut next = Pod::new(self, slot, at + dice.between(2.0, 12.0), dice);
                next.generation = slots[slot].generation + 1;
                let mut old = std::mem::replace(&mut slots[slot], next);
                old.end = Some(at);
                events.push(RecordedEvent {
                    t: at,
                    kind: dice.one_of(&["PodKill", "PodRestart"]).to_owned(),
                    pod: old.name(self),
                    recovered: None,
                });
                gone.push(old);
                at += dice.between(least, most);
            }
        }
        gone.append(&mut slots);
        let levels = gone.iter().map(|pod| pod.level).collect();
        let series: Vec<_> = gone.iter().flat_map(|pod| self.scrape(pod, dice)).collect();
        let recording = Recording {
            signal: Some(self.signal),
            step_seconds: Some(self.step),
            warmup_seconds: self.warm_up,
            limit_bytes: None,
            load: self.loads(&series),
            series,
            chaos_events: events,
            criteria: Vec::new(),
            gaps: Vec::new(),
        };
        let recording = match self.per {
            Some(per) => recording.at_equal_load(per),
            None => recording,
        };
        (recording, levels)
    }

    fn scrape(&self, pod: &Pod, dice: &mut Dice) -> Vec<RecordedSeries> {
        let offset = dice.between(0.0, self.step);
        let phase = dice.between(0.0, 1.0);
        let portions: Vec<f64> = (0..self.labels)
            .map(|i| label_share(i, self.labels))
            .collect();
        let mut wander: Vec<f64> = portions.iter().map(|_| dice.normal()).collect();
        let mut parts = vec![Vec::new(); self.labels];
        let mut t = (pod.start / self.step).ceil() * self.step + offset;
        while t < pod.end.unwrap_or(self.duration) {
            let shared = self.shared(pod, t, phase);
            for (label, share) in portions.iter().enumerate() {
                let fresh = (1.0 - self.correlation.powi(2)).sqrt();
                wander[label] = self.correlation * wander[label] + fresh * dice.normal();
                let noise = self.noise * wander[label] / share.sqrt();
                let own = match self.leak {
                    Leak::OneLabel(total) if label == self.labels - 1 => {
                        total * (t - pod.start) / self.duration
                    }
                    _ => 0.0,
                };
                let value = pod.level * share * (shared + noise + own);
                let value = if self.whole_numbers {
                    value.round().max(0.0)
                } else {
                    value
                };
                parts[label].push(Sample {
                    t: (t * 1000.0).round() / 1000.0,
                    v: value,
                });
            }
            t += self.step;
        }
        parts
            .into_iter()
            .enumerate()
            .map(|(label, mut samples)| {
                self.soil(&mut samples, pod.level, dice);
                let labels = if self.labels > 1 {
                    BTreeMap::from([("component".to_owned(), format!("part-{label}"))])
                } else {
                    BTreeMap::new()
                };
                RecordedSeries {
                    pod: pod.name(self),
                    incarnation: if self.named { pod.generation } else { 1 },
                    labels,
                    start_unix: Some(pod.start),
                    component: None,
                    samples,
                }
            })
            .collect()
    }

    /// The load at an instant, about between -1 and 1; that which is recorded is as uneven as load is.
    fn load_at(&self, t: f64) -> f64 {
        let uneven = if self.per.is_some() {
            0.15 * (TAU * t / 2_700.0).sin() + 0.1 * (TAU * t / 940.0).sin()
        } else {
            0.0
        };
        (TAU * (t / self.load.1 + self.load.2)).sin() + uneven
    }

    /// The load as it was scraped with the signal: what every pod had to do, in messages a second.
    fn loads(&self, series: &[RecordedSeries]) -> Vec<RecordedSeries> {
        let told = series
            .iter()
            .step_by(self.labels)
            .filter(|_| self.per.is_some());
        let load = |sample: &Sample| Sample {
            t: sample.t,
            v: 1_000.0 + (500.0 * self.load_at(sample.t)).round(),
        };
        told.map(|one| RecordedSeries {
            labels: BTreeMap::new(),
            samples: one.samples.iter().map(load).collect(),
            ..one.clone()
        })
        .collect()
    }

    /// What a pod is at an instant, without its noise: 1 is its level.
    fn shared(&self, pod: &Pod, t: f64, phase: f64) -> f64 {
        let age = t - pod.start;
        let gone = t / self.duration;
        let old = age / self.duration;
        let mut value = 1.0 - self.warm.0 * (-age / self.warm.1).exp();
        value += self.cache.0 * (1.0 - (-age / self.cache.1).exp());
        value += self.load.0 * self.load_at(t);
        value += self.teeth.0 * (t / self.teeth.1 + phase).fract();
        if let Some((size, at, all)) = self.shift
            && t >= at
            && (all || pod.slot == 0)
        {
            value += size;
        }
        let lifts = pod
            .kills
            .iter()
            .filter(|kill| t >= **kill && t < **kill + self.lift.1);
        value += self.lift.0 * lifts.count().min(1) as f64;
        value
            + match self.leak {
                Leak::Steady(total) => total * old,
                Leak::Accelerating(total) => {
                    total * gone * gone * if pod.generation == 1 { 1.0 } else { old }
                }
                Leak::Stairs(total, steps) => total * (old * steps).floor() / steps,
                Leak::PerKill(each) => {
                    each * pod.kills.iter().filter(|kill| t >= **kill).count() as f64
                }
                Leak::OnePod(total) if pod.slot == 0 => total * old,
                Leak::None | Leak::OneLabel(_) | Leak::OnePod(_) => 0.0,
            }
    }

    fn soil(&self, samples: &mut Vec<Sample>, level: f64, dice: &mut Dice) {
        let dirt = self.dirt;
        samples.retain(|_| !dice.chance(dirt.missed));
        let mut doubles = Vec::new();
        for sample in samples.iter_mut() {
            if dice.chance(dirt.null) {
                sample.v = f64::NAN;
            } else if dice.chance(dirt.outliers) {
                sample.v += level * dice.between(-1.0, 4.0);
            }
            if dice.chance(dirt.doubled) {
                doubles.push(*sample);
            }
        }
        samples.append(&mut doubles);
        if dirt.shuffled {
            for i in (1..samples.len()).rev() {
                samples.swap(i, dice.below(i + 1));
            }
        }
    }
}

/// The first labels are the largest.
fn label_share(index: usize, labels: usize) -> f64 {
    let weight = |i: usize| 1.0 / (1.0 + i as f64);
    weight(index) / (0..labels).map(weight).sum::<f64>()
}

struct Pod {
    slot: usize,
    generation: u32,
    suffix: usize,
    level: f64,
    start: f64,
    end: Option<f64>,
    kills: Vec<f64>,
}

impl Pod {
    fn new(scene: &Scene, slot: usize, start: f64, dice: &mut Dice) -> Self {
        Self {
            slot,
            generation: 1,
            suffix: dice.below(100_000),
            level: scene.level * (1.0 + scene.spread * dice.normal()).max(0.3),
            start,
            end: None,
            kills: Vec::new(),
        }
    }

    fn name(&self, scene: &Scene) -> String {
        if scene.named {
            format!("w-{}", self.slot)
        } else {
            format!("w-{}-{:05}", self.slot, self.suffix)
        }
    }
}
