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
    Namespace, Operator, Probe, Soak, client, query, repository, simulation, small, span,
    wait_until, worker_kills,
};

/// A query of a dashboard or an alert, and where it is from.
struct Query {
    from: String,
    expression: String,
}

fn file(path: &str) -> String {
    let path = repository().join("charts/soak-operator").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The queries of a dashboard's panels, of its annotations and of its variables.
fn of_dashboard(name: &str) -> Vec<Query> {
    let dashboard: Value = serde_json::from_str(&file(&format!("dashboards/{name}.json"))).unwrap();
    let list = |pointer: &str| {
        dashboard
            .pointer(pointer)
            .and_then(Value::as_array)
            .cloned()
    };
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let mut queries = Vec::new();
    for panel in list("/panels").expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            queries.push(Query {
                from: format!("{name}: {}", text(&panel, "title")),
                expression: text(target, "expr"),
            });
        }
    }
    for annotation in list("/annotations/list").expect("annotations") {
        queries.push(Query {
            from: format!("{name}: marks of {}", text(&annotation, "name")),
            expression: text(&annotation, "expr"),
        });
    }
    for variable in list("/templating/list").expect("variables") {
        let asked = text(&variable["query"], "query");
        // label_values(selector, label) is Grafana's own.
        if let Some((selector, _)) = asked
            .strip_prefix("label_values(")
            .and_then(|rest| rest.rsplit_once(','))
        {
            queries.push(Query {
                from: format!("{name}: variable {}", text(&variable, "name")),
                expression: selector.to_owned(),
            });
        }
    }
    queries
}

fn alerts() -> Vec<Query> {
    let alerts: Value = serde_saphyr::from_str(&file("alerts.yaml")).unwrap();
    let rules = alerts["groups"][0]["rules"].as_array().expect("rules");
    let query = |rule: &Value| Query {
        from: rule["alert"].as_str().expect("a name").to_owned(),
        expression: rule["expr"].as_str().expect("an expression").to_owned(),
    };
    rules.iter().map(query).collect()
}

/// How many series answer; an error where the query is refused.
async fn series(operator: &Operator, expression: &str) -> Result<usize, String> {
    Ok(query(operator, expression).await?.len())
}

fn filled_in(expression: &str, soak: &Soak) -> String {
    expression
        .replace("$namespace", &soak.namespace)
        .replace("$soaktest", &soak.name)
        .replace("$__rate_interval", "1m")
        .replace("$__interval", "15s")
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
    let mut queries = of_dashboard("operator");
    queries.extend(of_dashboard("soaktest"));
    assert!(queries.len() > 40, "{}", queries.len());
    for Query { from, expression } in &queries {
        let filled = filled_in(expression, &soak);
        wait_until(from, Duration::from_secs(60), async || {
            match series(&operator, &filled).await {
                Ok(0) => Probe::Waiting(format!("nothing for {filled}")),
                Ok(_) => Probe::Done(()),
                Err(why) => Probe::Waiting(format!("{filled}: {why}")),
            }
        })
        .await;
    }
    for Query { from, expression } in alerts() {
        let firing = series(&operator, &expression).await;
        assert_eq!(firing, Ok(0), "{from}: {expression}");
    }
    soak.delete().await;
}
