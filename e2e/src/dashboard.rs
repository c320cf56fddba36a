//! Dashboards, held to what a Prometheus has: a query that finds nothing is a panel that shows nothing when somebody needs it.

use std::time::Duration;

use serde_json::Value;

use crate::{Operator, Probe, Soak, query, repository, wait_until};

/// A query of a dashboard, and where it is from.
pub struct Panel {
    from: String,
    expression: String,
    /// The row that it stands under; empty above the first.
    pub row: String,
}

impl Panel {
    /// The queries of a dashboard's panels, of its annotations and of its variables.
    #[must_use]
    pub fn all(dashboard: &str) -> Vec<Self> {
        let path = format!("charts/soak-operator/dashboards/{dashboard}.json");
        let file = std::fs::read_to_string(repository().join(&path));
        let file = file.unwrap_or_else(|error| panic!("{path}: {error}"));
        let json: Value = serde_json::from_str(&file).expect("JSON");
        let list = |pointer: &str| json.pointer(pointer).and_then(Value::as_array).cloned();
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let (mut all, mut row) = (Vec::new(), String::new());
        let panel = |what: &str, of: &str, expression: String, row: &str| Self {
            from: format!("{dashboard}: {what}{of}"),
            expression,
            row: row.to_owned(),
        };
        for one in list("/panels").expect("panels") {
            let title = text(&one, "title");
            if one["type"] == "row" {
                // A row that is folded holds its panels itself.
                assert_eq!(one["collapsed"], false, "{title}");
                row = title;
                continue;
            }
            for target in one["targets"].as_array().expect("targets") {
                all.push(panel("", &title, text(target, "expr"), &row));
            }
        }
        for one in list("/annotations/list").expect("annotations") {
            all.push(panel(
                "marks of ",
                &text(&one, "name"),
                text(&one, "expr"),
                "",
            ));
        }
        for one in list("/templating/list").expect("variables") {
            let asked = text(&one["query"], "query");
            // label_values(selector, label) is Grafana's own.
            let values = asked.strip_prefix("label_values(");
            if let Some((selector, _)) = values.and_then(|rest| rest.rsplit_once(',')) {
                all.push(panel(
                    "variable ",
                    &text(&one, "name"),
                    selector.to_owned(),
                    "",
                ));
            }
        }
        all
    }

    /// Waits until the query finds something of the soak.
    pub async fn finds_something(&self, operator: &Operator, soak: &Soak) {
        let filled = self
            .expression
            .replace("$namespace", &soak.namespace)
            .replace("$soaktest", &soak.name)
            .replace("$component", ".+")
            .replace("$__rate_interval", "1m")
            .replace("$__interval", "15s");
        wait_until(&self.from, Duration::from_secs(60), async || {
            match query(operator, &filled).await {
                Ok(none) if none.is_empty() => Probe::Waiting(format!("nothing for {filled}")),
                Ok(_) => Probe::Done(()),
                Err(why) => Probe::Waiting(format!("{filled}: {why}")),
            }
        })
        .await;
    }
}
