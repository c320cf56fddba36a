//! The model of Prometheus: samples of every pod that lived while nobody was blind, and answers to what the operator asks.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use soak_api::verdict::Sample;

use super::cluster::{Life, Model, NAMESPACE};
use crate::prometheus::{Answer, Error, Series};

/// How often it scrapes.
const STEP: SignedDuration = SignedDuration::from_secs(2);

/// How long the simulation takes to have nothing in flight once it was told to drain.
const DRAINS_WITHIN: SignedDuration = SignedDuration::from_secs(3);

impl Model {
    pub(crate) async fn instant(&self, query: &str, at: Timestamp) -> Result<Answer, Error> {
        self.wait().await;
        self.answers()?;
        if query == "vector(1)" {
            return Ok(single(at, 1.0));
        }
        if query.starts_with("count(") {
            let pods = self.state().lives.len();
            return Ok(single(at, pods as f64));
        }
        if query.contains("soak_sim_drained") {
            let drained = self.state().drained;
            let value = drained.is_some_and(|since| at >= since + DRAINS_WITHIN);
            return Ok(single(at, f64::from(u8::from(value))));
        }
        if query.starts_with("soak_sim_leader") {
            let leads = self.state().leads().map(str::to_owned);
            let mut answer = single(at, 1.0);
            for series in &mut answer.series {
                series
                    .labels
                    .extend(leads.clone().map(|pod| ("pod".to_owned(), pod)));
            }
            return Ok(answer);
        }
        let window = query
            .rsplit_once('[')
            .and_then(|(_, rest)| rest.strip_suffix("ms]"))
            .and_then(|millis| millis.parse().ok())
            .unwrap_or(0);
        let metric = query.split('{').next().unwrap_or_default().to_owned();
        Ok(self.scraped(&metric, at - SignedDuration::from_millis(window), at))
    }

    pub(crate) async fn range(
        &self,
        query: &str,
        from: Timestamp,
        to: Timestamp,
        _step: Duration,
    ) -> Result<Answer, Error> {
        self.wait().await;
        self.answers()?;
        Ok(self.scraped(query, from, to))
    }

    async fn wait(&self) {
        let delay = self.state().dice.between(1, 200);
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }

    fn answers(&self) -> Result<(), Error> {
        if self.state().is_blind(self.clock.now()) {
            return Err(Error::Unreachable {
                url: "http://model".to_owned(),
                cause: "nobody answers".to_owned(),
            });
        }
        Ok(())
    }

    fn scraped(&self, metric: &str, from: Timestamp, to: Timestamp) -> Answer {
        let state = self.state();
        let value = |at: Timestamp| match metric {
            "process_resident_memory_bytes" => 1e7,
            "soak_sim_tasks_alive" => 20.0,
            "soak_sim_messages_processed_total" => at.as_second() as f64,
            "up" => 1.0,
            _ => 0.0,
        };
        let series = state.lives.values().map(|life| Series {
            labels: labels(metric, life),
            samples: instants(life, from, to)
                .filter(|at| !state.is_blind(*at))
                .map(|at| Sample {
                    t: at.as_millisecond() as f64 / 1_000.0,
                    v: value(at),
                })
                .collect(),
        });
        Answer {
            series: series.filter(|one| !one.samples.is_empty()).collect(),
            warnings: Vec::new(),
        }
    }
}

fn labels(metric: &str, life: &Life) -> BTreeMap<String, String> {
    let pairs = [
        ("__name__", metric),
        ("namespace", NAMESPACE),
        ("pod", &life.name),
    ];
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn instants(life: &Life, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> {
    let step = STEP.as_secs() * 1_000;
    let first = life.from.max(from).as_millisecond().div_euclid(step) + 1;
    let last = life
        .to
        .unwrap_or(to)
        .min(to)
        .as_millisecond()
        .div_euclid(step);
    (first..=last).filter_map(move |place| Timestamp::from_millisecond(place * step).ok())
}

fn single(at: Timestamp, value: f64) -> Answer {
    Answer {
        series: vec![Series {
            labels: BTreeMap::new(),
            samples: vec![Sample {
                t: at.as_millisecond() as f64 / 1_000.0,
                v: value,
            }],
        }],
        warnings: Vec::new(),
    }
}
