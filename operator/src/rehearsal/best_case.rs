//! A soak in which nothing goes wrong: no level moves, every pod is back at once, and nobody is ever away.

use std::collections::BTreeMap;

use soak_api::SoakTest;
use soak_api::verdict::{ChaosEvent, Component, IncarnationSeries, Run, Sample, Window};

use super::{Does, Foreseen};
use crate::chaos;
use crate::chaos::MOST_AT_ONCE;
use crate::reasons::chaos as reason;
use crate::workload;

/// The window begins here, in seconds, so that no instant is negative.
const BEGINNING: f64 = 1e9;

/// A soak with more samples takes minutes to judge. Sampled less often it would seem to lack what it has.
const MOST_SAMPLES: f64 = 3e5;

/// What became of the events, and of the pods.
pub(super) struct BestCase {
    /// The events that were done.
    pub(super) done: Vec<ChaosEvent>,
    /// Why each of the others was not, by its entry in `spec.chaos.events`.
    pub(super) refused: Vec<(usize, &'static str)>,
    lives: BTreeMap<String, Vec<Life>>,
}

/// One incarnation of a pod.
#[derive(Clone, Debug)]
struct Life {
    pod: u32,
    incarnation: u32,
    born: f64,
    dead: Option<f64>,
    /// It was there before anybody looked, and its age is not known.
    first: bool,
}

/// An event that lasts.
struct Lasting {
    component: String,
    until: f64,
}

impl BestCase {
    /// The soak with these events.
    pub(super) fn of(test: &SoakTest, events: &[Foreseen]) -> Self {
        let mut case = Self {
            done: Vec::new(),
            refused: Vec::new(),
            lives: first_lives(test),
        };
        let mut lasting: Vec<Lasting> = Vec::new();
        for event in events {
            let at = BEGINNING + event.at.as_secs_f64();
            lasting.retain(|one| one.until > at);
            match case.does(test, event, at, &lasting) {
                Ok(until) => {
                    if until > at {
                        let component = event.kind.component().to_owned();
                        lasting.push(Lasting { component, until });
                    }
                    case.done.push(ChaosEvent {
                        at,
                        recovered_at: Some(until),
                        undone_at: (until > at).then_some(until),
                        tells_recovery: true,
                        kind: event.kind.name().to_owned(),
                        component: event.kind.component().to_owned(),
                        pod: String::new(),
                    });
                }
                Err(why) => case.refused.push((event.entry, why)),
            }
        }
        case
    }

    /// The soak, and what every pod of its judged components would show: a level that never moves, or nothing.
    pub(super) fn run(&self, test: &SoakTest, level: Option<f64>) -> Run {
        let spec = &test.spec;
        let window = Window {
            start: BEGINNING,
            end: BEGINNING + spec.duration.duration().as_secs_f64(),
        };
        let settle_end = window.end + spec.settle.duration().as_secs_f64();
        let judged = workload::components(test);
        let judged: Vec<_> = judged.into_iter().filter(|one| one.judged).collect();
        let step = spec.metrics.step.duration().as_secs_f64();
        let series = level.iter().flat_map(|level| {
            judged.iter().flat_map(|component| {
                let lives = self.lives.get(&component.name).into_iter().flatten();
                lives.map(|life| life.series(&component.name, *level, step, settle_end))
            })
        });
        Run {
            window,
            settle_end,
            warm_up_seconds: spec.warm_up.duration().as_secs_f64(),
            step_seconds: step,
            cooldown_seconds: workload::cooldown_seconds(&spec.workload),
            series: series.collect(),
            components: judged
                .iter()
                .map(|one| Component {
                    name: one.name.clone(),
                    replicas: one.replicas,
                    memory_limit_bytes: one.memory_limit_bytes(),
                })
                .collect(),
            load: Vec::new(),
            events: self.done.clone(),
            left_out: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Whether its pods have so many samples that nobody would wait for what is judged on them.
    pub(super) fn is_too_large(&self, test: &SoakTest) -> bool {
        let spec = &test.spec;
        let whole = spec
            .duration
            .duration()
            .saturating_add(spec.settle.duration());
        let end = BEGINNING + whole.as_secs_f64();
        let lives = self.lives.values().flatten();
        let seconds: f64 = lives.map(|life| life.dead.unwrap_or(end) - life.born).sum();
        seconds / spec.metrics.step.duration().as_secs_f64() > MOST_SAMPLES
    }

    /// Carries the event out, and says until when it lasts; or which guard refuses it.
    fn does(
        &mut self,
        test: &SoakTest,
        event: &Foreseen,
        at: f64,
        lasting: &[Lasting],
    ) -> Result<f64, &'static str> {
        let component = event.kind.component();
        let spec = test.spec.chaos.as_ref().ok_or(reason::NO_CANDIDATE)?;
        let most = if spec.guard.overlap { MOST_AT_ONCE } else { 1 };
        // What lasts goes with no other event on its component.
        if lasting.len() >= most || lasting.iter().any(|one| one.component == component) {
            return Err(reason::NOT_RECOVERED);
        }
        if event.does == Does::IsRefused {
            return Err(reason::TOO_FEW_READY);
        }
        let entry = spec.events.get(event.entry);
        let least_age = entry.and_then(|entry| entry.min_age.as_ref());
        let least_age = least_age.map_or(0.0, |age| age.duration().as_secs_f64());
        let until = at + event.lasts.as_secs_f64();
        let Some(lives) = self.lives.get_mut(component) else {
            return Err(reason::NO_CANDIDATE);
        };
        let alive: Vec<usize> = (0..lives.len())
            .filter(|i| lives[*i].dead.is_none())
            .collect();
        let old = |i: &usize| lives[*i].first || at - lives[*i].born >= least_age;
        match event.does {
            Does::Hits(rank) | Does::HitsTheLeaderOf(rank) => {
                let candidates: Vec<usize> = alive.into_iter().filter(old).collect();
                let target = *candidates
                    .get(rank % candidates.len().max(1))
                    .ok_or(reason::TOO_YOUNG)?;
                if chaos::event(&event.kind).ends_a_container() {
                    reborn(lives, target, at);
                }
            }
            Does::ReplacesAll | Does::ScalesTo(_) if !alive.iter().all(old) => {
                return Err(reason::TOO_YOUNG);
            }
            Does::ReplacesAll => {
                for target in alive {
                    reborn(lives, target, at);
                }
            }
            Does::ScalesTo(to) => {
                // The youngest go first.
                let goes = event.replicas.saturating_sub(to) as usize;
                for target in alive.into_iter().rev().take(goes) {
                    lives[target].dead = Some(at);
                    let pod = lives[target].pod;
                    lives.push(Life::new(pod, lives[target].incarnation + 1, until));
                }
            }
            Does::IsRefused => {}
        }
        Ok(until)
    }
}

/// Each pod is up and ready as warm-up begins.
fn first_lives(test: &SoakTest) -> BTreeMap<String, Vec<Life>> {
    let born = BEGINNING - test.spec.warm_up.duration().as_secs_f64();
    let components = workload::components(test).into_iter();
    let lives = components.map(|component| {
        let lives = (0..component.replicas).map(|pod| Life {
            first: true,
            ..Life::new(pod, 1, born)
        });
        (component.name.clone(), lives.collect())
    });
    lives.collect()
}

/// The pod ends, and another takes its place at once.
fn reborn(lives: &mut Vec<Life>, target: usize, at: f64) {
    lives[target].dead = Some(at);
    let (pod, incarnation) = (lives[target].pod, lives[target].incarnation + 1);
    lives.push(Life::new(pod, incarnation, at));
}

impl Life {
    fn new(pod: u32, incarnation: u32, born: f64) -> Self {
        Self {
            pod,
            incarnation,
            born,
            dead: None,
            first: false,
        }
    }

    fn series(&self, component: &str, level: f64, step: f64, settle_end: f64) -> IncarnationSeries {
        let end = self.dead.unwrap_or(settle_end);
        let scrapes = std::iter::successors(Some(self.born), |last| Some(last + step));
        let scrapes = scrapes.take_while(|t| *t < end);
        // The last is scraped just as it ends.
        let scrapes = scrapes.chain(std::iter::once(end));
        let samples = scrapes.map(|t| Sample { t, v: level }).collect();
        IncarnationSeries {
            component: component.to_owned(),
            pod: format!("{component}-{}", self.pod),
            incarnation: self.incarnation,
            started_at: self.born,
            ended_at: self.dead,
            labels: BTreeMap::new(),
            samples,
        }
    }
}
