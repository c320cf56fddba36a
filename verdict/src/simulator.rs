//! Runs with a known truth, from a seed: what the judges are measured against.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::{ChaosEvent, Component, IncarnationSeries, Run, Sample, Window};

/// How many runs a rate is measured on: `SOAK_VERDICT_SEEDS`, or as many as usual.
pub(crate) fn seeds_or(usual: u64) -> u64 {
    let asked = std::env::var("SOAK_VERDICT_SEEDS").ok();
    asked.and_then(|seeds| seeds.parse().ok()).unwrap_or(usual)
}

/// Whether a share lies under its bound, with three standard errors of room for the number of seeds.
pub(crate) fn is_at_most(share: f64, bound: f64, seeds: u64) -> bool {
    share <= bound + 3.0 * (bound * (1.0 - bound) / seeds as f64).sqrt()
}

/// A random source with the few draws that are needed here.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Evenly from `low` to `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        low + (high - low) * unit
    }

    /// Normal with variance one (Box and Muller, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.between(1e-300, 1.0).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.between(0.0, 1.0)).cos()
    }

    /// One of `0..count`.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        (0..count)
            .find(|i| self.between(0.0, (count - i) as f64) < 1.0)
            .unwrap_or(0)
    }
}

/// What one pod reads at one instant, beside what its component does to it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Texture {
    /// Exactly its level.
    Exact,
    /// First-order autoregressive noise of this deviation and correlation at one step.
    Wandering { deviation: f64, correlation: f64 },
    /// A rise by `height` over `period_seconds`, then a fall to the floor, as a garbage collector makes it.
    Sawtooth { height: f64, period_seconds: f64 },
}

/// A soak to simulate. Starts as the demo: six workers, two producers, a kill every 30 to 45 s.
#[derive(Clone, Debug)]
pub(crate) struct Soak {
    pub(crate) workers: u32,
    pub(crate) producers: u32,
    pub(crate) worker_level: f64,
    pub(crate) producer_level: f64,
    pub(crate) duration: f64,
    pub(crate) step: f64,
    pub(crate) warm_up: f64,
    pub(crate) cooldown: f64,
    /// The least and most time between kills; `None` for no kills.
    pub(crate) kill_every: Option<(f64, f64)>,
    /// What survivors have more while a pod is away and its work comes back.
    pub(crate) lifted: f64,
    /// The least and most that each survivor gains for good at each rebalance, two of which follow a kill.
    pub(crate) leak_per_rebalance: (f64, f64),
    /// What the first worker gains over the duration, evenly.
    pub(crate) first_worker_gains: f64,
    /// What every worker gains over the duration, evenly.
    pub(crate) all_workers_gain: f64,
    /// How far below its level a new pod starts, and how fast it comes up.
    pub(crate) warming: f64,
    pub(crate) warming_seconds: f64,
    /// How far the settled levels of pods lie apart.
    pub(crate) level_deviation: f64,
    pub(crate) texture: Texture,
    pub(crate) whole_numbers: bool,
}

impl Soak {
    /// Tasks of the demo.
    pub(crate) fn tasks() -> Self {
        Self {
            workers: 6,
            producers: 2,
            worker_level: 18.0,
            producer_level: 8.0,
            duration: 300.0,
            step: 1.0,
            warm_up: 90.0,
            cooldown: 12.0,
            kill_every: Some((30.0, 45.0)),
            lifted: 2.0,
            leak_per_rebalance: (0.0, 0.0),
            first_worker_gains: 0.0,
            all_workers_gain: 0.0,
            warming: 12.0,
            warming_seconds: 5.0,
            level_deviation: 0.0,
            texture: Texture::Exact,
            whole_numbers: true,
        }
    }

    /// Memory of the demo.
    pub(crate) fn memory() -> Self {
        Self {
            worker_level: 12e6,
            producer_level: 10e6,
            lifted: 60e3,
            warming: 4e6,
            warming_seconds: 15.0,
            level_deviation: 200e3,
            texture: Texture::Wandering {
                deviation: 30e3,
                correlation: 0.9,
            },
            ..Self::tasks()
        }
    }

    /// Steady pods with noise of one shape and nothing else.
    pub(crate) fn quiet(workers: u32, texture: Texture) -> Self {
        Self {
            workers,
            producers: 0,
            worker_level: 1000.0,
            kill_every: None,
            warming: 0.0,
            texture,
            whole_numbers: false,
            ..Self::tasks()
        }
    }

    /// The run that the judges see.
    pub(crate) fn run(&self, seed: u64) -> Run {
        let mut dice = Dice::new(seed);
        let start = 1_700_000_000.0;
        let window = Window {
            start,
            end: start + self.duration,
        };
        let settle_end = window.end + 45.0;
        let mut workers: Vec<Pod> = (0..self.workers)
            .map(|id| {
                let started = start - self.warm_up - dice.between(0.0, 5.0);
                Pod::new(self, &mut dice, id, started)
            })
            .collect();
        let mut gone = Vec::new();
        let mut events = Vec::new();
        let mut at = start + 60.0;
        while let Some((least, most)) = self.kill_every {
            if at >= window.end {
                break;
            }
            let recovered = at + dice.between(4.0, 8.0);
            let hit = dice.pick(workers.len());
            for (id, pod) in workers.iter_mut().enumerate().filter(|(id, _)| *id != hit) {
                let _ = id;
                for rebalance in [at + 1.0, recovered] {
                    let (low, high) = self.leak_per_rebalance;
                    let gain = dice.between(low, high);
                    pod.gains.push((rebalance, self.rounded(gain)));
                }
                pod.lifts.push((at + 0.5, recovered + self.cooldown - 1.0));
            }
            let id = workers[hit].id;
            let new = Pod::new(self, &mut dice, id, recovered - 2.0);
            let mut old = std::mem::replace(&mut workers[hit], new);
            old.ended_at = Some(at);
            events.push(ChaosEvent {
                at,
                recovered_at: Some(recovered),
                undone_at: None,
                tells_recovery: true,
                kind: "podKill".to_owned(),
                component: "worker".to_owned(),
                pod: old.name.clone(),
            });
            gone.push(old);
            at += dice.between(least, most);
        }
        let mut series: Vec<IncarnationSeries> = gone
            .iter()
            .chain(&workers)
            .flat_map(|pod| self.scrape(pod, "worker", window, settle_end, &mut dice))
            .collect();
        for id in 0..self.producers {
            let mut pod = Pod::new(self, &mut dice, id, start - self.warm_up - 3.0);
            pod.name = format!("producer-{id}");
            pod.level += self.producer_level - self.worker_level;
            series.extend(self.scrape(&pod, "producer", window, settle_end, &mut dice));
        }
        let planned = [("worker", self.workers), ("producer", self.producers)];
        Run {
            window,
            settle_end,
            warm_up_seconds: self.warm_up,
            step_seconds: self.step,
            cooldown_seconds: self.cooldown,
            components: planned
                .into_iter()
                .filter(|(_, replicas)| *replicas > 0)
                .map(|(name, replicas)| Component {
                    name: name.to_owned(),
                    replicas,
                    memory_limit_bytes: None,
                })
                .collect(),
            series,
            events,
            load: Vec::new(),
            left_out: Vec::new(),
            gaps: Vec::new(),
        }
    }

    fn rounded(&self, value: f64) -> f64 {
        if self.whole_numbers {
            value.round()
        } else {
            value
        }
    }

    /// Two series a pod: `consume`, where all that grows grows, and `core`, a fifth of its level.
    fn scrape(
        &self,
        pod: &Pod,
        component: &str,
        window: Window,
        settle_end: f64,
        dice: &mut Dice,
    ) -> Vec<IncarnationSeries> {
        let mut consume = Vec::new();
        let mut core = Vec::new();
        let offset = dice.between(0.0, self.step);
        let mut wander = dice.normal();
        let phase = dice.between(0.0, 1.0);
        let mut t = (pod.started_at / self.step).ceil() * self.step + offset;
        while t < pod.ended_at.unwrap_or(settle_end) {
            let texture = match self.texture {
                Texture::Exact => 0.0,
                Texture::Wandering {
                    deviation,
                    correlation,
                } => {
                    let fresh = (1.0 - correlation * correlation).sqrt();
                    wander = correlation * wander + fresh * dice.normal();
                    deviation * wander
                }
                Texture::Sawtooth {
                    height,
                    period_seconds,
                } => height * (t / period_seconds + phase).fract(),
            };
            let gained: f64 = pod.gains.iter().filter(|g| g.0 <= t).map(|g| g.1).sum();
            let lifted = pod.lifts.iter().any(|lift| lift.0 <= t && t <= lift.1);
            let warming = self.warming * (-(t - pod.started_at) / self.warming_seconds).exp();
            let elapsed = (t - window.start) / self.duration;
            let own = if component == "worker" {
                let first = if pod.id == 0 {
                    self.first_worker_gains
                } else {
                    0.0
                };
                (first + self.all_workers_gain) * elapsed
            } else {
                0.0
            };
            let fifth = self.rounded(pod.level / 5.0);
            let rest = pod.level - fifth + gained + own - warming
                + texture
                + if lifted { self.lifted } else { 0.0 };
            core.push(Sample { t, v: fifth });
            consume.push(Sample {
                t,
                v: self.rounded(rest),
            });
            t += self.step;
        }
        [("consume", consume), ("core", core)]
            .into_iter()
            .map(|(label, samples)| IncarnationSeries {
                component: component.to_owned(),
                pod: pod.name.clone(),
                incarnation: 1,
                started_at: pod.started_at,
                ended_at: pod.ended_at,
                labels: BTreeMap::from([("component".to_owned(), label.to_owned())]),
                samples,
            })
            .collect()
    }
}

struct Pod {
    id: u32,
    name: String,
    level: f64,
    started_at: f64,
    ended_at: Option<f64>,
    gains: Vec<(f64, f64)>,
    lifts: Vec<(f64, f64)>,
}

impl Pod {
    fn new(soak: &Soak, dice: &mut Dice, id: u32, started_at: f64) -> Self {
        let suffix = dice.pick(100_000);
        Self {
            id,
            name: format!("worker-{id}-{suffix:05}"),
            level: soak.rounded(soak.worker_level + soak.level_deviation * dice.normal()),
            started_at,
            ended_at: None,
            gains: Vec::new(),
            lifts: Vec::new(),
        }
    }
}

/// A run without chaos, from 1000 to 1300 s, settling until 1340 s, at one sample a second and 30 s of warm-up.
pub(crate) fn still(components: &[(&str, u32)], series: Vec<IncarnationSeries>) -> Run {
    Run {
        window: Window {
            start: 1000.0,
            end: 1300.0,
        },
        settle_end: 1340.0,
        warm_up_seconds: 30.0,
        step_seconds: 1.0,
        cooldown_seconds: 5.0,
        components: components
            .iter()
            .map(|(name, replicas)| Component {
                name: (*name).to_owned(),
                replicas: *replicas,
                memory_limit_bytes: None,
            })
            .collect(),
        series,
        events: Vec::new(),
        load: Vec::new(),
        left_out: Vec::new(),
        gaps: Vec::new(),
    }
}

/// A worker's series from its start to its end, one sample a second.
pub(crate) fn worker(
    pod: &str,
    from: f64,
    to: f64,
    value: impl Fn(f64) -> f64,
) -> IncarnationSeries {
    let mut samples = Vec::new();
    let mut t = from;
    while t <= to {
        samples.push(Sample { t, v: value(t) });
        t += 1.0;
    }
    IncarnationSeries {
        component: "worker".to_owned(),
        pod: pod.to_owned(),
        incarnation: 1,
        started_at: from,
        ended_at: (to < 1340.0).then_some(to + 0.5),
        labels: BTreeMap::new(),
        samples,
    }
}
