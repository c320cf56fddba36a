//! Asks Prometheus, and takes nothing for granted: no answer, a partial answer and an empty answer are three things.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use prometheus_http_query::Client;
use serde::Deserialize;
use soak_api::verdict::Sample;

use crate::metrics::Metrics;

/// The most that one answer may be; samples are asked for in chunks well below it.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// How many samples are asked for at a time.
const SAMPLES_AT_ONCE: f64 = 100_000.0;

/// How many points of one series Prometheus gives at a time, with some room below its own limit of 11,000.
const POINTS_AT_ONCE: u32 = 10_000;

/// A Prometheus server.
pub struct Prometheus {
    source: Source,
    url: String,
    metrics: Option<Metrics>,
}

/// Where answers come from.
enum Source {
    Server(Client),
    #[cfg(test)]
    Model(std::sync::Arc<crate::simulation::Model>),
}

/// The client that all queries share. It brings its own roots of trust: the image holds nothing but the operator.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|der| reqwest::Certificate::from_der(der));
    reqwest::Client::builder()
        .tls_certs_only(roots.collect::<Result<Vec<_>, _>>()?)
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(60))
        .build()
}

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// All its labels, `__name__` among them where it has one.
    pub labels: BTreeMap<String, String>,
    /// In time order.
    pub samples: Vec<Sample>,
}

/// What was asked for, and what Prometheus said against it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Each label set once.
    pub series: Vec<Series>,
    /// Such as a partial response; data with a warning are not all the data.
    pub warnings: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers, or the answer breaks off.
    #[error("Prometheus at {url} cannot be reached: {cause}")]
    Unreachable {
        /// Where it was asked.
        url: String,
        /// What went wrong.
        cause: String,
    },
    /// It answers that the query itself is at fault, such as one that does not parse: asking again is no use.
    #[error("Prometheus at {url} cannot answer {query:?}: {cause}")]
    BadQuery {
        /// Where it was asked.
        url: String,
        /// What it was asked.
        query: String,
        /// What it says.
        cause: String,
    },
    /// It answers that it will not or cannot now, such as within its time limit.
    #[error("Prometheus at {url} refused {query:?}: {cause}")]
    Refused {
        /// Where it was asked.
        url: String,
        /// What it was asked.
        query: String,
        /// What it says.
        cause: String,
    },
    /// The answer is larger than can be held.
    #[error("Prometheus at {url} answered {query:?} with more than {} MiB", ANSWER_BYTES / 1024 / 1024)]
    TooLarge {
        /// Where it was asked.
        url: String,
        /// What it was asked.
        query: String,
    },
    /// Something else answers.
    #[error("what answers at {url} is not Prometheus: {cause}")]
    NotPrometheus {
        /// Where it was asked.
        url: String,
        /// What about the answer is not Prometheus'.
        cause: String,
    },
}

#[derive(Deserialize)]
struct Body {
    status: String,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    #[serde(default)]
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct RawSeries {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    value: Option<(f64, String)>,
}

impl Prometheus {
    /// The server at a URL such as `http://prometheus.monitoring:9090`; nothing is asked yet.
    pub fn open(url: &str, http: &reqwest::Client) -> Result<Self, Error> {
        let base = url.trim_end_matches('/');
        let client = Client::from(http.clone(), base).map_err(|error| Error::Unreachable {
            url: url.to_owned(),
            cause: root(&error),
        })?;
        Ok(Self {
            source: Source::Server(client),
            url: url.to_owned(),
            metrics: None,
        })
    }

    /// A model of one.
    #[cfg(test)]
    pub(crate) fn modelled(url: &str, model: std::sync::Arc<crate::simulation::Model>) -> Self {
        Self {
            source: Source::Model(model),
            url: url.to_owned(),
            metrics: None,
        }
    }

    /// Counts queries in the operator's own metrics.
    pub(crate) fn counted_in(self, metrics: Metrics) -> Self {
        Self {
            metrics: Some(metrics),
            ..self
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The value of an expression at one instant.
    pub async fn instant(&self, query: &str, at: Timestamp) -> Result<Answer, Error> {
        match &self.source {
            Source::Server(client) => {
                let request = client.query(query).query("time", seconds(at));
                self.ask(query, request.get_raw()).await
            }
            #[cfg(test)]
            Source::Model(model) => model.instant(query, at).await,
        }
    }

    /// The samples of a plain selector as they were scraped, both ends included.
    pub async fn raw(
        &self,
        selector: &str,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<Answer, Error> {
        let whole = to.duration_since(from).as_millis().max(1);
        let counted = self
            .instant(&format!("count(last_over_time({selector}[{whole}ms]))"), to)
            .await?;
        let count = counted
            .series
            .first()
            .and_then(|s| s.samples.first())
            .map_or(1.0, |s| s.v.max(1.0));
        let chunk = Duration::from_secs_f64(
            (SAMPLES_AT_ONCE / count).max(10.0) * step.as_secs_f64().max(0.1),
        );
        let mut parts = Vec::new();
        for (start, end) in chunks(from, to, chunk) {
            let range = end.duration_since(start).as_millis().max(1);
            // Prometheus 2 includes the left edge and 3 does not: one more millisecond, and doubles are dropped later.
            parts.push(
                self.instant(&format!("{selector}[{}ms]", range + 1), end)
                    .await?,
            );
        }
        Ok(Answer::joined(parts))
    }

    /// The values of an expression at every step, both ends included.
    pub async fn range(
        &self,
        query: &str,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<Answer, Error> {
        let mut parts = Vec::new();
        for (start, end) in chunks(from, to, step * POINTS_AT_ONCE) {
            let part = match &self.source {
                Source::Server(client) => {
                    let (start, end) = (start.as_second(), end.as_second());
                    let request = client.query_range(query, start, end, step.as_secs_f64());
                    self.ask(query, request.get_raw()).await
                }
                #[cfg(test)]
                Source::Model(model) => model.range(query, start, end, step).await,
            };
            parts.push(part?);
        }
        Ok(Answer::joined(parts))
    }

    async fn ask(
        &self,
        query: &str,
        request: impl Future<Output = Result<reqwest::Response, prometheus_http_query::Error>>,
    ) -> Result<Answer, Error> {
        let began = Instant::now();
        let answer = self.read(query, request).await;
        if let Some(metrics) = &self.metrics {
            metrics.queried(began.elapsed(), answer.is_ok());
        }
        answer
    }

    async fn read(
        &self,
        query: &str,
        request: impl Future<Output = Result<reqwest::Response, prometheus_http_query::Error>>,
    ) -> Result<Answer, Error> {
        let url = || self.url.clone();
        let unreachable = |cause: String| Error::Unreachable { url: url(), cause };
        let mut response = request.await.map_err(|error| unreachable(root(&error)))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(part) = response
            .chunk()
            .await
            .map_err(|error| unreachable(root(&error)))?
        {
            if body.len() + part.len() > ANSWER_BYTES {
                return Err(Error::TooLarge {
                    url: url(),
                    query: query.to_owned(),
                });
            }
            body.extend_from_slice(&part);
        }
        decode(&body).map_err(|problem| match problem {
            Problem::BadQuery(cause) => Error::BadQuery {
                url: url(),
                query: query.to_owned(),
                cause,
            },
            Problem::Refused(cause) => Error::Refused {
                url: url(),
                query: query.to_owned(),
                cause,
            },
            Problem::Malformed(_) if status.is_server_error() => {
                unreachable(format!("HTTP status {status}"))
            }
            Problem::Malformed(cause) => Error::NotPrometheus {
                url: url(),
                cause: format!("HTTP status {status}: {cause}"),
            },
        })
    }
}

impl Answer {
    /// The parts as one: series are told apart by their labels, samples of one series by their time.
    fn joined(parts: Vec<Self>) -> Self {
        let mut series: BTreeMap<_, Vec<Sample>> = BTreeMap::new();
        let mut warnings = Vec::new();
        for part in parts {
            for one in part.series {
                series.entry(one.labels).or_default().extend(one.samples);
            }
            for warning in part.warnings {
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
        }
        let series = series.into_iter().map(|(labels, mut samples)| {
            samples.sort_by(|a, b| a.t.total_cmp(&b.t));
            samples.dedup_by(|a, b| a.t.to_bits() == b.t.to_bits());
            Series { labels, samples }
        });
        Self {
            series: series.collect(),
            warnings,
        }
    }

    /// What Prometheus said against its own answer, as gaps of a run.
    pub fn doubts(&self) -> impl Iterator<Item = String> {
        self.warnings
            .iter()
            .map(|warning| format!("Prometheus warns: {warning}"))
    }
}

enum Problem {
    BadQuery(String),
    Refused(String),
    Malformed(String),
}

fn decode(body: &[u8]) -> Result<Answer, Problem> {
    let malformed = |error: serde_json::Error| Problem::Malformed(error.to_string());
    let body: Body = serde_json::from_slice(body).map_err(malformed)?;
    if body.status != "success" {
        return Err(match body.error_type.as_str() {
            "bad_data" | "execution" => Problem::BadQuery(body.error),
            _ => Problem::Refused(body.error),
        });
    }
    let data = body
        .data
        .ok_or_else(|| Problem::Malformed("there are no data".to_owned()))?;
    let series = match data.result_type.as_str() {
        "matrix" | "vector" => {
            let raw: Vec<RawSeries> = serde_json::from_value(data.result).map_err(malformed)?;
            raw.into_iter().map(RawSeries::into_series).collect()
        }
        "scalar" => {
            let value: (f64, String) = serde_json::from_value(data.result).map_err(malformed)?;
            vec![
                RawSeries {
                    metric: BTreeMap::new(),
                    values: Vec::new(),
                    value: Some(value),
                }
                .into_series(),
            ]
        }
        other => {
            return Err(Problem::Malformed(format!(
                "{other} is not a kind of result that can be judged"
            )));
        }
    };
    Ok(Answer {
        series,
        warnings: body.warnings,
    })
}

impl RawSeries {
    fn into_series(self) -> Series {
        let samples = self
            .values
            .into_iter()
            .chain(self.value)
            .map(|(t, v)| Sample { t, v: number(&v) })
            .collect();
        Series {
            labels: self.metric,
            samples,
        }
    }
}

/// Prometheus writes `+Inf`, `-Inf` and `NaN`; what it never writes counts as NaN, which nothing passes on.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

fn chunks(from: Timestamp, to: Timestamp, length: Duration) -> Vec<(Timestamp, Timestamp)> {
    let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::from_hours(24));
    let mut chunks = Vec::new();
    let mut start = from;
    while start < to {
        let end = start.checked_add(length).unwrap_or(to).min(to);
        chunks.push((start, end));
        start = end;
    }
    chunks
}

fn seconds(at: Timestamp) -> String {
    format!("{:.3}", at.as_millisecond() as f64 / 1_000.0)
}

/// The innermost cause: the outer ones only say that a request failed.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// The URL for whoever may read it: without a user and a password.
pub(crate) fn without_credentials(url: &str) -> String {
    let Ok(mut parsed) = reqwest::Url::parse(url) else {
        return url.to_owned();
    };
    if parsed.username().is_empty() && parsed.password().is_none() {
        return url.to_owned();
    }
    // Only a URL that cannot have any refuses.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_credentials_and_else_as_it_is() {
        let shown = without_credentials("https://me:secret@prometheus.example:9090/base");
        assert_eq!(shown, "https://prometheus.example:9090/base");
        let plain = "http://prometheus.monitoring:9090";
        assert_eq!(without_credentials(plain), plain);
    }

    fn read(body: &str) -> Result<Answer, Problem> {
        decode(body.as_bytes())
    }

    #[test]
    fn a_matrix_keeps_its_timestamps_and_its_strange_values() {
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"pod":"a"},"values":[[1.5,"1"],[2.5,"NaN"],[3.5,"+Inf"]]}]}}"#;
        let Ok(answer) = read(body) else {
            panic!("readable")
        };
        let values: Vec<_> = answer.series[0]
            .samples
            .iter()
            .map(|s| (s.t, s.v))
            .collect();
        assert_eq!(values[0], (1.5, 1.0));
        assert!(values[1].1.is_nan());
        assert_eq!(values[2], (3.5, f64::INFINITY));
    }

    #[test]
    fn warnings_are_kept() {
        let body = r#"{"status":"success","warnings":["partial"],"data":{"resultType":"vector","result":[]}}"#;
        let Ok(answer) = read(body) else {
            panic!("readable")
        };
        assert_eq!(answer.warnings, ["partial"]);
    }

    #[test]
    fn a_refusal_carries_the_reason() {
        let body = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
        assert!(matches!(read(body), Err(Problem::Refused(cause)) if cause == "query timed out"));
    }

    #[test]
    fn a_query_that_is_at_fault_is_told_from_a_refusal_that_may_pass() {
        for kind in ["bad_data", "execution"] {
            let body = format!(r#"{{"status":"error","errorType":"{kind}","error":"no"}}"#);
            assert!(matches!(read(&body), Err(Problem::BadQuery(cause)) if cause == "no"));
        }
        for kind in [
            "timeout",
            "canceled",
            "internal",
            "unavailable",
            "not_found",
            "",
        ] {
            let body = format!(r#"{{"status":"error","errorType":"{kind}","error":"no"}}"#);
            assert!(matches!(read(&body), Err(Problem::Refused(cause)) if cause == "no"));
        }
    }

    #[test]
    fn a_page_that_is_not_prometheus_is_malformed() {
        assert!(matches!(read("<html>"), Err(Problem::Malformed(_))));
        assert!(matches!(read("{}"), Err(Problem::Malformed(_))));
    }

    #[test]
    fn parts_are_joined_without_doubles() {
        let part = |times: &[f64]| Answer {
            series: vec![Series {
                labels: BTreeMap::new(),
                samples: times.iter().map(|t| Sample { t: *t, v: 1.0 }).collect(),
            }],
            warnings: vec!["slow".into()],
        };
        let whole = Answer::joined(vec![part(&[1.0, 2.0]), part(&[2.0, 3.0])]);
        assert_eq!(whole.series[0].samples.len(), 3);
        assert_eq!(whole.warnings, ["slow"]);
    }

    #[test]
    fn chunks_cover_the_whole_stretch() {
        let at = |s| Timestamp::from_second(s).expect("in range");
        let parts = chunks(at(0), at(25), Duration::from_secs(10));
        assert_eq!(parts, [(at(0), at(10)), (at(10), at(20)), (at(20), at(25))]);
    }
}
