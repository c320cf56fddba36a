//! What the Prometheus beside the operator answers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::{Operator, kubectl};

const SERVICE: &str = "soak-operator-prometheus:9090";

/// A series, and what was scraped of it.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its labels, its name among them.
    pub labels: BTreeMap<String, String>,
    /// When, and what; in order.
    pub samples: Vec<(Timestamp, f64)>,
}

/// The series that answer a query: with one sample each, or with all that lie in the range where it ends in one.
///
/// # Errors
///
/// What was said where the query was refused, or nobody answered.
pub async fn query(operator: &Operator, expression: &str) -> Result<Vec<Series>, String> {
    let encoded: String = expression
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let path = format!(
        "/api/v1/namespaces/{}/services/{SERVICE}/proxy/api/v1/query?query={encoded}",
        operator.namespace
    );
    let answer: Value = serde_json::from_str(&kubectl(&["get", "--raw", &path]).await?)
        .map_err(|error| error.to_string())?;
    let result = answer.pointer("/data/result").and_then(Value::as_array);
    Ok(result.ok_or("no result")?.iter().map(series).collect())
}

fn series(answer: &Value) -> Series {
    let labels = answer["metric"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = answer.get("value").into_iter();
    let many = answer["values"].as_array().into_iter().flatten();
    Series {
        labels: labels
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        samples: one.chain(many).map(sample).collect(),
    }
}

fn sample(answer: &Value) -> (Timestamp, f64) {
    let seconds = answer[0].as_f64().expect("an instant");
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this age")]
    let at = Timestamp::from_millisecond((seconds * 1_000.0).round() as i64);
    let value = answer[1].as_str().and_then(|text| text.parse().ok());
    (at.expect("an instant"), value.expect("a number"))
}
