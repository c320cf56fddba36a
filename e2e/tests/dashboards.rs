//! Dashboards and alerts are held to what a Prometheus has while a soak runs: a query that finds nothing is a panel that
//! shows nothing when somebody needs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::time::Duration;

use serde_json::Value;
use soak_e2e::{
    Namespace, Operator, Panel, client, query, repository, simulation, small, span, worker_kills,
};

/// The queries of the alerts, by name.
fn alerts() -> Vec<(String, String)> {
    let path = repository().join("charts/soak-operator/alerts.yaml");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let alerts: Value = serde_saphyr::from_str(&text).unwrap();
    let rules = alerts["groups"][0]["rules"].as_array().expect("rules");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let query = |rule: &Value| (text(&rule["alert"]), text(&rule["expr"]));
    rules.iter().map(query).collect()
}

#[tokio::test]
async fn every_query_finds_something_while_a_soak_runs_and_no_alert_fires() {
    let client = client().await;
    let operator = Operator::find(&client).await;
    let namespace = Namespace::new(&client, "dashboards").await;
    let mut test = small("shown");
    simulation(&mut test.spec).workers.replicas = 2;
    test.spec.duration = span(240);
    test.spec.deadline = Some(span(420));
    test.spec.chaos = Some(worker_kills(12, 15, 1));
    let soak = namespace.soak(&test).await;
    let shows = |status: &soak_api::SoakTestStatus| {
        let back = status
            .chaos
            .recent
            .iter()
            .any(|event| event.recovered_at.is_some());
        back && !status.estimates.is_empty()
    };
    soak.until(
        "a recovery and an estimate",
        Duration::from_secs(240),
        shows,
    )
    .await;
    let mut queries = Panel::all("operator");
    queries.extend(Panel::all("soaktest"));
    assert!(queries.len() > 40, "{}", queries.len());
    for panel in &queries {
        panel.finds_something(&operator, &soak).await;
    }
    for (alert, expression) in alerts() {
        let firing = query(&operator, &expression).await.map(|all| all.len());
        assert_eq!(firing, Ok(0), "{alert}: {expression}");
    }
    soak.delete().await;
}
