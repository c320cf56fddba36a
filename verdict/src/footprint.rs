//! What grew, in tasks and in bytes: the components of the workload, and inside each the parts of its tasks by
//! contribution, with what a task that stays takes with it.
//!
//! It is evidence and decides nothing. Growth is worked out as for the parts of a judgement's `contributions`, so that
//! both tables say the same.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::judgement::{Interval, SeriesGrowth};
use crate::parts::{LabelPart, contributions, of_component};
use crate::run::{Component, Run, Window};
use crate::samples::{Clean, clean};
use crate::slope::even_fit;

/// One process that never restarts grows, too.
const LEAST_INCARNATIONS: usize = 1;

/// What one component of the workload grew, whole and in parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Footprint {
    /// The component's name, such as worker.
    #[cfg_attr(feature = "schemars", schemars(length(max = 253)))]
    pub component: String,
    /// All of it.
    pub total: FootprintRow,
    /// Its parts by the label values of its tasks, the one that grew most tasks first.
    #[cfg_attr(feature = "schemars", schemars(length(max = 10)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<FootprintRow>,
}

/// What a component, or one part of it, grew over the judged window, in all of the component's planned pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FootprintRow {
    /// The component's name, or the label values of the part.
    #[cfg_attr(feature = "schemars", schemars(length(max = 253)))]
    pub name: String,
    /// Growth in tasks.
    pub tasks: Amount,
    /// Growth in bytes; left out where nothing is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Amount>,
    /// Bytes that come with each task that stays; left out where growth in tasks cannot be told from none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_task: Option<Amount>,
    /// The bytes were not measured for this part: they are its tasks times the bytes per task of the whole component.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared_out: bool,
}

/// An estimate with its 95 % interval, where one can be had.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Amount {
    /// The likeliest value.
    pub estimate: f64,
    /// Its 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

/// The footprint of each component of which both runs tell growth, the one that grew most tasks first. Growth is that in
/// the time which both runs cover.
///
/// Growth is even growth within incarnations times the planned replicas. A part's bytes are its own where memory has the
/// label values of its tasks. Where memory has none of them, the component's bytes are shared out by tasks, which says
/// nothing of whether a task of one part takes more than one of another, and is marked.
///
/// Bytes per task is the ratio of the two growths. Its interval is that of Fieller (1954), with the half-widths of the
/// growths' own intervals in place of Student's t times a standard error, the longer half where they are uneven. It takes
/// the errors of tasks and bytes for independent. Where both rise together, as where every task that comes and goes has
/// its memory, it is wider than it had to be.
pub fn footprints(tasks: &Run, memory: &Run) -> Vec<Footprint> {
    if tasks.problem().is_some() || memory.problem().is_some() {
        return Vec::new();
    }
    let window = Window {
        start: tasks.window.start.max(memory.window.start),
        end: tasks.window.end.min(memory.window.end),
    };
    if window.end <= window.start {
        return Vec::new();
    }
    let (tasks, memory) = (cut(tasks, window), cut(memory, window));
    let (clean_tasks, clean_memory) = (clean(&tasks), clean(&memory));
    let known = |component: &&Component| memory.components.iter().any(|c| c.name == component.name);
    let mut footprints: Vec<Footprint> = tasks
        .components
        .iter()
        .filter(known)
        .filter_map(|component| {
            let tasks = gathered(&tasks, &clean_tasks, component)?;
            let memory = gathered(&memory, &clean_memory, component)?;
            footprint(&tasks, &memory)
        })
        .collect();
    let grown = |one: &Footprint| one.total.tasks.estimate;
    footprints.sort_by(|a, b| {
        let order = grown(b).total_cmp(&grown(a));
        order.then(a.component.cmp(&b.component))
    });
    footprints
}

/// The run with another window.
fn cut(run: &Run, window: Window) -> Cow<'_, Run> {
    if run.window == window {
        return Cow::Borrowed(run);
    }
    Cow::Owned(Run {
        window,
        ..run.clone()
    })
}

fn gathered<'a>(run: &Run, clean: &Clean<'_>, component: &'a Component) -> Option<Evidence<'a>> {
    let evidence = Evidence::gather(run, clean, component, LEAST_INCARNATIONS, None);
    evidence.problem.is_none().then_some(evidence)
}

fn footprint(tasks: &Evidence<'_>, memory: &Evidence<'_>) -> Option<Footprint> {
    let component = &tasks.component.name;
    let whole = |evidence: &Evidence<'_>| {
        let tracks = evidence.tracks.iter().map(|track| track.points.clone());
        let tracks: Vec<_> = tracks.collect();
        of_component(evidence, component, &even_fit(&tracks)?)
    };
    let (grown, bytes) = (whole(tasks)?, whole(memory)?);
    let total = FootprintRow::measured(grown, &bytes);
    let by_part = memory.parts();
    let parts = contributions(tasks, &LabelPart::all(tasks, None));
    let is_divided = parts
        .iter()
        .any(|part| by_part.contains_key(part.name.as_str()));
    let parts = parts
        .into_iter()
        .map(|part| {
            if !is_divided {
                return FootprintRow::shared(part, total.bytes_per_task);
            }
            let own = by_part.get(part.name.as_str());
            let own = own.and_then(|levels| {
                let tracks = levels.iter().map(|levels| levels.points.clone());
                let tracks: Vec<_> = tracks.collect();
                of_component(memory, &part.name, &even_fit(&tracks)?)
            });
            match own {
                Some(bytes) => FootprintRow::measured(part, &bytes),
                None => FootprintRow::of_tasks(part),
            }
        })
        .collect();
    Some(Footprint {
        component: component.clone(),
        total,
        parts,
    })
}

impl FootprintRow {
    fn of_tasks(tasks: SeriesGrowth) -> Self {
        Self {
            tasks: Amount::of(&tasks),
            name: tasks.name,
            bytes: None,
            bytes_per_task: None,
            shared_out: false,
        }
    }

    fn measured(tasks: SeriesGrowth, bytes: &SeriesGrowth) -> Self {
        let bytes = Amount::of(bytes);
        Self {
            bytes: Some(bytes),
            bytes_per_task: ratio(bytes, Amount::of(&tasks)),
            ..Self::of_tasks(tasks)
        }
    }

    fn shared(tasks: SeriesGrowth, mean: Option<Amount>) -> Self {
        let estimated = |estimate: f64| Amount {
            estimate,
            interval: None,
        };
        let mean = mean.map(|mean| mean.estimate);
        let grows = |interval: &Interval| interval.low > 0.0 || interval.high < 0.0;
        let grew = tasks.interval.as_ref().is_some_and(grows);
        Self {
            bytes: mean.map(|mean| estimated(mean * tasks.growth)),
            bytes_per_task: mean.filter(|_| grew).map(estimated),
            shared_out: mean.is_some(),
            ..Self::of_tasks(tasks)
        }
    }
}

impl Amount {
    fn of(growth: &SeriesGrowth) -> Self {
        Self {
            estimate: growth.growth,
            interval: growth.interval,
        }
    }

    /// How far the interval reaches from the estimate, at the longer end.
    fn reach(self) -> Option<f64> {
        let interval = self.interval?;
        let reach = (interval.high - self.estimate).max(self.estimate - interval.low);
        Some(reach).filter(|reach| reach.is_finite())
    }
}

/// The ratio of two independent estimates with the interval of Fieller (1954): all `r` for which `over - r under` may be
/// 0. `None` where that is all there is, because `under` may be 0 itself.
fn ratio(over: Amount, under: Amount) -> Option<Amount> {
    let (over_reach, under_reach) = (over.reach()?, under.reach()?);
    let estimate = over.estimate / under.estimate;
    // In units of what is below, so that no square overflows.
    let (over_reach, doubt) = (
        over_reach / under.estimate.abs(),
        under_reach / under.estimate.abs(),
    );
    let certainty = 1.0 - doubt * doubt;
    if certainty.is_nan() || certainty <= 0.0 {
        return None;
    }
    let middle = estimate / certainty;
    let half =
        (certainty * over_reach * over_reach + (estimate * doubt).powi(2)).sqrt() / certainty;
    let interval = Interval {
        low: middle - half,
        high: middle + half,
    };
    let known = estimate.is_finite() && interval.low.is_finite() && interval.high.is_finite();
    known.then_some(Amount {
        estimate,
        interval: Some(interval),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::simulator::{Dice, seeds_or};
    use crate::{ChaosEvent, IncarnationSeries, Sample};

    const HOURS: f64 = 3.0;
    const STEP: f64 = 15.0;
    const START: f64 = 1_700_000_000.0;

    /// Some tasks of a pod, how many more of them stay after each kill of a worker, and the bytes of each.
    struct Part {
        name: &'static str,
        base: f64,
        per_kill: f64,
        bytes: f64,
    }

    fn part(name: &'static str, base: f64, per_kill: f64, kib: f64) -> Part {
        Part {
            name,
            base,
            per_kill,
            bytes: 1024.0 * kib,
        }
    }

    /// The cascade from which the operator was born: a controller that is started anew, restarts that it sets off, and in
    /// each worker loops and consumers that nobody ends.
    fn cascade() -> [(&'static str, u32, [Part; 2]); 2] {
        [
            (
                "coordinator",
                2,
                [
                    part("controller", 10.0, 1.0, 4.0),
                    part("restart", 20.0, 4.0, 8.0),
                ],
            ),
            (
                "worker",
                8,
                [
                    part("consumers", 150.0, 12.0, 6.0),
                    part("loops", 40.0, 3.0, 2.0),
                ],
            ),
        ]
    }

    const KILL_EVERY: f64 = 240.0;

    /// What each part of one pod gains over the window.
    fn kills() -> f64 {
        HOURS * 3_600.0 / KILL_EVERY
    }

    struct Noise {
        tasks: f64,
        bytes: f64,
        correlation: f64,
    }

    const END: f64 = START + 3_600.0 * HOURS;

    /// When each incarnation of one pod starts and ends: one worker after the other is killed, and comes back as it began.
    fn lives(component: &str, id: u32, replicas: u32, kills: bool) -> Vec<(f64, Option<f64>)> {
        let mut lives = vec![(START - 700.0, None)];
        let mut at = START + f64::from(id + 1) * KILL_EVERY;
        while kills && component == "worker" && at < END {
            if let Some(life) = lives.last_mut() {
                life.1 = Some(at);
            }
            lives.push((at + 5.0, None));
            at += KILL_EVERY * f64::from(replicas);
        }
        lives
    }

    fn kill(component: &str, id: u32, at: f64) -> ChaosEvent {
        ChaosEvent {
            at,
            recovered_at: Some(at + 10.0),
            undone_at: None,
            tells_recovery: true,
            kind: "podKill".to_owned(),
            component: component.to_owned(),
            pod: format!("{component}-{id}"),
        }
    }

    /// First-order autoregressive noise.
    fn wander(dice: &mut Dice, deviation: f64, noise: &Noise, count: usize) -> Vec<f64> {
        let fresh = (1.0 - noise.correlation.powi(2)).sqrt();
        let mut at = dice.normal();
        (0..count)
            .map(|_| {
                at = noise.correlation * at + fresh * dice.normal();
                deviation * at
            })
            .collect()
    }

    /// Both runs of one soak: tasks by part, and memory with what its tasks take, by part or all in one.
    fn soak(
        seed: u64,
        components: &[(&str, u32, [Part; 2])],
        noise: &Noise,
        kills: bool,
        by_part: bool,
    ) -> (Run, Run) {
        let mut dice = Dice::new(seed);
        let killed = |t: f64| {
            let kills_by = (t - START) / KILL_EVERY;
            if kills { kills_by.floor() } else { kills_by }
        };
        let (mut tasks, mut memory, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for (component, replicas, parts) in components {
            let pods = (0..*replicas).map(|id| (id, lives(component, id, *replicas, kills)));
            for (id, lives) in pods {
                let ends = lives.iter().filter_map(|life| life.1);
                events.extend(ends.map(|at| kill(component, id, at)));
                for (life, (from, until)) in lives.into_iter().enumerate() {
                    let end = until.unwrap_or(END + 60.0);
                    let instants: Vec<f64> = std::iter::successors(Some(from), |t| Some(t + STEP))
                        .take_while(|t| *t < end)
                        .collect();
                    let series = |label: &str, values: Vec<f64>| IncarnationSeries {
                        component: (*component).to_owned(),
                        pod: format!("{component}-{id}"),
                        incarnation: u32::try_from(life + 1).unwrap_or(u32::MAX),
                        started_at: from,
                        ended_at: until,
                        labels: Some(("component".to_owned(), label.to_owned()))
                            .filter(|_| !label.is_empty())
                            .into_iter()
                            .collect::<BTreeMap<_, _>>(),
                        samples: instants
                            .iter()
                            .zip(values)
                            .map(|(t, v)| Sample { t: *t, v })
                            .collect(),
                    };
                    let mut all = vec![8.0 * 1_048_576.0; instants.len()];
                    for part in parts {
                        let truth =
                            |t: &f64| part.base + part.per_kill * (killed(*t) - killed(from));
                        let rough = wander(&mut dice, noise.tasks, noise, instants.len());
                        let count = |(t, rough): (&f64, f64)| truth(t) + rough;
                        let counts = instants.iter().zip(rough).map(count).collect();
                        tasks.push(series(part.name, counts));
                        let rough = wander(&mut dice, noise.bytes, noise, instants.len());
                        let size = |(t, rough): (&f64, f64)| part.bytes * truth(t) + rough;
                        let bytes: Vec<f64> = instants.iter().zip(rough).map(size).collect();
                        for (all, bytes) in all.iter_mut().zip(&bytes) {
                            *all += bytes;
                        }
                        if by_part {
                            memory.push(series(part.name, bytes));
                        }
                    }
                    if !by_part {
                        memory.push(series("", all));
                    }
                }
            }
        }
        events.sort_by(|a, b| a.at.total_cmp(&b.at));
        (
            run_of(components, tasks, &events),
            run_of(components, memory, &events),
        )
    }

    fn run_of(
        components: &[(&str, u32, [Part; 2])],
        series: Vec<IncarnationSeries>,
        events: &[ChaosEvent],
    ) -> Run {
        let planned = components.iter().map(|(name, replicas, _)| Component {
            name: (*name).to_owned(),
            replicas: *replicas,
            memory_limit_bytes: None,
        });
        Run {
            window: Window {
                start: START,
                end: END,
            },
            settle_end: END + 60.0,
            warm_up_seconds: 60.0,
            step_seconds: STEP,
            cooldown_seconds: 5.0,
            components: planned.collect(),
            series,
            events: events.to_vec(),
            load: Vec::new(),
            left_out: Vec::new(),
            gaps: Vec::new(),
        }
    }

    const MILD: Noise = Noise {
        tasks: 1.0,
        bytes: 20_000.0,
        correlation: 0.5,
    };

    fn near(found: Option<Amount>, truth: f64, percent: f64) -> bool {
        found.is_some_and(|found| (found.estimate - truth).abs() <= truth * percent / 100.0)
    }

    fn names(rows: &[FootprintRow]) -> Vec<&str> {
        rows.iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn the_cascade_comes_out_by_contribution_in_tasks_bytes_and_bytes_per_task() {
        for seed in 0..10 {
            let (tasks, memory) = soak(seed, &cascade(), &MILD, true, true);
            let found = footprints(&tasks, &memory);
            let components: Vec<&str> = found.iter().map(|one| one.component.as_str()).collect();
            assert_eq!(components, ["worker", "coordinator"]);
            for ((_, replicas, parts), found) in cascade().iter().rev().zip(&found) {
                let mut parts: Vec<&Part> = parts.iter().collect();
                parts.sort_by(|a, b| b.per_kill.total_cmp(&a.per_kill));
                let wanted: Vec<&str> = parts.iter().map(|part| part.name).collect();
                assert_eq!(names(&found.parts), wanted, "seed {seed}");
                let kills = kills() * f64::from(*replicas);
                let (mut all_tasks, mut all_bytes) = (0.0, 0.0);
                for (part, row) in parts.iter().zip(&found.parts) {
                    let gained = part.per_kill * kills;
                    all_tasks += gained;
                    all_bytes += gained * part.bytes;
                    assert!(near(Some(row.tasks), gained, 10.0), "{row:?}");
                    assert!(near(row.bytes, gained * part.bytes, 10.0), "{row:?}");
                    assert!(near(row.bytes_per_task, part.bytes, 10.0), "{row:?}");
                    assert!(!row.shared_out);
                }
                let total = &found.total;
                assert!(near(Some(total.tasks), all_tasks, 10.0), "{total:?}");
                assert!(near(total.bytes, all_bytes, 10.0), "{total:?}");
                assert!(near(total.bytes_per_task, all_bytes / all_tasks, 10.0));
            }
        }
    }

    #[test]
    fn memory_that_is_not_told_apart_is_shared_out_and_says_so() {
        for seed in 0..10 {
            let (tasks, memory) = soak(seed, &cascade(), &MILD, true, false);
            let found = footprints(&tasks, &memory);
            let worker = &found[0];
            assert_eq!(names(&worker.parts), ["consumers", "loops"]);
            let mean = (12.0 * 6.0 + 3.0 * 2.0) / 15.0 * 1024.0;
            assert!(near(worker.total.bytes_per_task, mean, 10.0), "{worker:?}");
            assert!(!worker.total.shared_out);
            let consumers = &worker.parts[0];
            assert!(near(consumers.bytes, mean * 12.0 * 8.0 * kills(), 10.0));
            for row in &worker.parts {
                assert!(row.shared_out, "{row:?}");
                assert!(row.bytes.is_some_and(|bytes| bytes.interval.is_none()));
                let per_task = row.bytes_per_task.expect("the component's mean");
                assert!(per_task.interval.is_none());
            }
        }
    }

    #[test]
    fn both_tables_say_the_same() {
        let (tasks, memory) = soak(1, &cascade(), &MILD, true, true);
        let growth = crate::Growth {
            signal: Some(crate::Signal::Tasks),
            query: None,
            per: None,
            max_percent: Some(5.0),
            max_absolute: None,
        };
        let judgement = crate::judge(&growth.kind().expect("one measure"), &tasks);
        let found = footprints(&tasks, &memory);
        let of_component = |one: &&Footprint| Some(&one.component) == judgement.component.as_ref();
        let found = found.iter().find(of_component).expect("a footprint");
        for (part, row) in judgement.contributions.iter().zip(&found.parts) {
            assert_eq!(part.name, row.name);
            assert_eq!(
                (part.growth, part.interval),
                (row.tasks.estimate, row.tasks.interval)
            );
        }
    }

    #[test]
    fn where_no_tasks_stay_there_are_no_bytes_per_task() {
        let still = [(
            "worker",
            3,
            [part("a", 90.0, 0.0, 5.0), part("b", 9.0, 0.0, 5.0)],
        )];
        for seed in 0..10 {
            let (tasks, memory) = soak(seed, &still, &MILD, false, false);
            for row in &footprints(&tasks, &memory)[0].parts {
                let unknown = row.bytes.is_none() && row.bytes_per_task.is_none();
                assert!(unknown && !row.shared_out, "{row:?}");
            }
        }
        let exact = Noise {
            tasks: 0.0,
            bytes: 0.0,
            correlation: 0.0,
        };
        let (tasks, memory) = soak(0, &still, &exact, false, false);
        let total = &footprints(&tasks, &memory)[0].total;
        assert_eq!(total.tasks.estimate, 0.0);
        assert_eq!(total.bytes_per_task, None);
    }

    #[test]
    fn what_only_one_of_both_has_seen_has_no_footprint() {
        let (tasks, memory) = soak(0, &cascade(), &MILD, true, false);
        let mut half = memory.clone();
        half.series.retain(|one| one.component == "worker");
        let found = footprints(&tasks, &half);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].component, "worker");
        let mut later = memory;
        later.window.start += 86_400.0;
        later.window.end += 86_400.0;
        assert!(footprints(&tasks, &later).is_empty());
    }

    #[test]
    fn the_interval_of_bytes_per_task_holds_the_truth() {
        let seeds = seeds_or(120);
        let leaking = [(
            "worker",
            3,
            [part("a", 90.0, 1.0, 5.0), part("b", 9.0, 0.0, 5.0)],
        )];
        for correlation in [0.0, 0.9] {
            let noise = Noise {
                tasks: 5.0,
                bytes: 40_000.0,
                correlation,
            };
            let mut held = 0_u32;
            let mut told = 0_u32;
            for seed in 0..seeds {
                let (tasks, memory) = soak(seed, &leaking, &noise, false, false);
                let total = footprints(&tasks, &memory)[0].total.clone();
                let interval = total.bytes_per_task.and_then(|ratio| ratio.interval);
                told += u32::from(interval.is_some());
                let truth = 5.0 * 1024.0;
                held += u32::from(interval.is_some_and(|i| i.low <= truth && truth <= i.high));
            }
            let share = f64::from(held) / seeds as f64;
            println!(
                "bytes per task, AR(1) {correlation}: truth inside {:.1} % of {seeds}, told in {told}",
                100.0 * share
            );
            let room = 3.0 * (0.07 * 0.93 / seeds as f64).sqrt();
            assert!(share >= 0.93 - room, "{correlation}: {share}");
        }
    }

    #[test]
    fn the_interval_of_a_ratio_is_fiellers() {
        let amount = |estimate: f64, reach: f64| Amount {
            estimate,
            interval: Some(Interval {
                low: estimate - reach,
                high: estimate + reach,
            }),
        };
        let found = ratio(amount(10.0, 2.0), amount(5.0, 1.0)).expect("a ratio");
        let Interval { low, high } = found.interval.expect("an interval");
        // Each end is where the difference reaches just to 0.
        for r in [low, high] {
            let difference: f64 = 10.0 - r * 5.0;
            assert!((difference.abs() - (4.0 + r * r).sqrt()).abs() < 1e-9);
        }
        assert_eq!(found.estimate, 2.0);
        assert_eq!(ratio(amount(10.0, 2.0), amount(5.0, 5.0)), None);
        assert_eq!(ratio(amount(10.0, 2.0), amount(0.0, 0.0)), None);
        let falling = ratio(amount(-10.0, 2.0), amount(-5.0, 1.0)).expect("a ratio");
        assert_eq!(falling.interval, found.interval);
    }
}
