//! What the API server refuses, one problem a line.

use anyhow::anyhow;
use kube::core::Status;

use crate::cluster::explained;

/// The error of a write, with each field that is wrong in a line of its own.
pub(crate) fn refused(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => match problems(&status) {
            problems if problems.is_empty() => explained(kube::Error::Api(status)),
            problems => anyhow!("the API server refuses it:\n  {}", problems.join("\n  ")),
        },
        error => explained(error),
    }
}

fn problems(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut problems: Vec<String> = causes
        .filter(|cause| !cause.field.is_empty())
        // Because of what is told beside it.
        .filter(|cause| {
            !cause
                .message
                .contains("some validation rules were not checked")
        })
        .map(|cause| {
            let field = cause.field.trim_start_matches('.');
            match bare(&cause.message) {
                // Rules about several fields name them.
                message if message.starts_with(&format!("{field}.")) => message.to_owned(),
                message => format!("{field}: {message}"),
            }
        })
        .collect();
    problems.extend(undeclared(&status.message));
    // A rule of several fields is told for each of them.
    let mut once = Vec::new();
    for problem in problems {
        if !once.contains(&problem) {
            once.push(problem);
        }
    }
    once
}

/// Without what says nothing: of a value that breaks a rule the server gives the type, or nothing at all.
fn bare(message: &str) -> &str {
    const TYPES: [&str; 7] = [
        "object", "array", "string", "integer", "number", "boolean", "",
    ];
    let Some(told) = message.strip_prefix("Invalid value: ") else {
        return message;
    };
    let fixes = TYPES
        .iter()
        .find_map(|name| told.strip_prefix(&format!("\"{name}\": ")));
    fixes.unwrap_or(told)
}

/// Fields that the schema does not have, in the two ways in which servers say so: `.spec.a: field not declared in schema`
/// where it is applied, `unknown field "spec.a"` where it is created.
fn undeclared(message: &str) -> Vec<String> {
    let told = |field: &str| format!("{}: there is no such field", field.trim_start_matches('.'));
    let applied = message
        .match_indices(": field not declared in schema")
        .filter_map(|(end, _)| {
            let field = message[..end].rsplit(char::is_whitespace).next()?;
            Some(told(field))
        });
    let created = message
        .split("unknown field \"")
        .skip(1)
        .filter_map(|rest| {
            let (field, _) = rest.split_once('"')?;
            Some(told(field))
        });
    applied.chain(created).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(status: serde_json::Value) -> String {
        let status: Status = serde_json::from_value(status).expect("a status");
        refused(kube::Error::Api(Box::new(status))).to_string()
    }

    #[test]
    fn that_rules_were_not_looked_at_is_not_told() {
        let status = json!({
            "status": "Failure", "code": 422, "reason": "Invalid", "message": "invalid",
            "details": {"causes": [
                {"field": "spec.cleanup.workload", "message": "Unsupported value: \"Always\""},
                {"field": "<nil>", "message": "Invalid value: null: some validation rules were not checked"},
            ]},
        });
        assert_eq!(
            told(status),
            "the API server refuses it:\n  spec.cleanup.workload: Unsupported value: \"Always\""
        );
    }

    #[test]
    fn each_field_that_is_wrong_is_a_line_with_its_fix() {
        let status = json!({
            "status": "Failure", "reason": "Invalid", "code": 422, "message": "SoakTest \"a\" is invalid: [...]",
            "details": {"causes": [
                {"reason": "FieldValueInvalid", "field": "spec.duration",
                 "message": "Invalid value: \"string\": use h, m, s: 168h, not 7d"},
                {"reason": "FieldValueInvalid", "field": "spec.workload.simulation.partitions",
                 "message": "Invalid value: 0: should be greater than or equal to 1"},
                {"reason": "FieldValueInvalid", "field": "spec",
                 "message": "Invalid value: \"object\": spec.seed is fixed once the SoakTest exists"},
                {"reason": "FieldValueInvalid", "field": "spec.criteria[0]",
                 "message": "Invalid value: \"object\": set exactly one of growth, trend"},
                {"reason": "FieldValueInvalid", "field": "spec.criteria[0]",
                 "message": "Invalid value: \"object\": set exactly one of growth, trend"},
            ]},
        });
        assert_eq!(
            told(status),
            "the API server refuses it:\n  \
             spec.duration: use h, m, s: 168h, not 7d\n  \
             spec.workload.simulation.partitions: 0: should be greater than or equal to 1\n  \
             spec.seed is fixed once the SoakTest exists\n  \
             spec.criteria[0]: set exactly one of growth, trend"
        );
    }

    #[test]
    fn fields_that_there_are_not_are_told_however_the_server_says_so() {
        for message in [
            "failed to create typed patch object (soak/a; soak-operator.io/v1alpha1, Kind=SoakTest): errors:\n  \
             .spec.wormUp: field not declared in schema\n  .spec.foo: field not declared in schema",
            "SoakTest in version \"v1alpha1\" cannot be handled as a SoakTest: strict decoding error: unknown field \
             \"spec.wormUp\", unknown field \"spec.foo\"",
        ] {
            let status =
                json!({"status": "Failure", "code": 500, "message": message, "reason": ""});
            assert_eq!(
                told(status),
                "the API server refuses it:\n  spec.wormUp: there is no such field\n  spec.foo: there is no such field"
            );
        }
    }

    #[test]
    fn whatever_else_the_server_says_is_told_as_it_is() {
        let status = json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": "you may not"});
        assert_eq!(told(status), "the API server says: you may not");
    }
}
