//! A soak of ten minutes that is over: two workers, a producer, the pods of what they need, no chaos.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::Uri;
use jiff::Timestamp;
use serde_json::json;
use soak_api::SoakTest;
use soak_api::verdict::Sample;

use super::series::Observation;
use crate::journal::{Incarnation, IncarnationId, Journal};
use crate::prometheus::{Prometheus, Series};

/// The judged window, in seconds since the Unix epoch.
pub(super) const START: i64 = 1_800_000_600;
pub(super) const END: i64 = START + 600;

pub(super) const WORKERS: [&str; 2] = ["demo-worker-6fd898-6lmxb", "demo-worker-6fd898-x2kq7"];
pub(super) const PRODUCER: &str = "demo-producer-7f9c8d-bbbbb";
const NATS: &str = "demo-nats-59c4f7-ccccc";

pub(super) fn test() -> SoakTest {
    let at = |second| Timestamp::from_second(second).expect("in range");
    let test = json!({
        "apiVersion": "soak-operator.io/v1alpha1",
        "kind": "SoakTest",
        "metadata": {"name": "demo", "namespace": "soak"},
        "spec": {
            "duration": "10m", "warmUp": "1m",
            "workload": {"simulation": {"partitions": 6, "workers": {"replicas": 2}, "producers": {"replicas": 1}}},
            "criteria": [{"name": "tasks", "growth": {"query": "go_goroutines", "maxPercent": 5}}]
        },
        "status": {"times": {
            "warmingUp": at(START - 60), "soaking": at(START), "settling": at(END), "judging": at(END + 60)
        }}
    });
    serde_json::from_value(test).expect("a SoakTest")
}

pub(super) fn observation(test: &SoakTest) -> Observation {
    let mut journal = Journal::default();
    let pods = WORKERS.iter().chain([&PRODUCER, &NATS]);
    for (uid, pod) in pods.enumerate() {
        let component = ["worker", "worker", "producer", "nats"][uid];
        let id = IncarnationId {
            uid: uid.to_string(),
            restarts: 0,
        };
        let incarnation = Incarnation {
            component: component.to_owned(),
            pod: (*pod).to_owned(),
            id: id.clone(),
            started_at: Timestamp::from_second(START - 90).expect("in range"),
        };
        journal.incarnations.insert(id, (incarnation, None));
    }
    let now = Timestamp::from_second(END + 90).expect("in range");
    Observation::of(test, &journal, now).expect("a window")
}

/// A value at every step from warm-up to the end of settling.
pub(super) fn series(labels: &[(&str, &str)], value: f64) -> Series {
    let labels = labels
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    Series {
        labels: labels.collect::<BTreeMap<_, _>>(),
        samples: (START - 60..=END + 60)
            .step_by(15)
            .map(|t| Sample {
                t: t as f64,
                v: value,
            })
            .collect(),
    }
}

/// Paths and queries, as they were asked.
pub(super) type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A Prometheus that answers a query, as it stands in the URL, with the series it is given for it, and keeps what it was
/// asked.
pub(super) async fn serve(
    answer: impl Fn(&str) -> Vec<Series> + Clone + Send + Sync + 'static,
) -> (Prometheus, Asked) {
    let asked = Asked::default();
    let keep = asked.clone();
    let router = Router::new().fallback(move |uri: Uri| async move {
        let mut pairs = uri.query().unwrap_or_default().split('&');
        let query = pairs.find_map(|pair| pair.strip_prefix("query="));
        let query = query.unwrap_or_default().to_owned();
        let matrix = answer(&query).into_iter().map(|series| {
            let values = series.samples.iter().map(|s| json!([s.t, s.v.to_string()]));
            json!({"metric": series.labels, "values": values.collect::<Vec<_>>()})
        });
        let result: Vec<_> = matrix.collect();
        keep.lock()
            .expect("no panic")
            .push((uri.path().to_owned(), query));
        json!({"status": "success", "data": {"resultType": "matrix", "result": result}}).to_string()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async { axum::serve(listener, router).await });
    // Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = crate::prometheus::http_client().expect("a client");
    (Prometheus::open(&url, &http).expect("a URL"), asked)
}
