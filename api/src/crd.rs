//! The CustomResourceDefinition as it is applied.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use serde_json::Value;

use crate::SoakTest;

/// The CRD of SoakTest as YAML, ready for `kubectl apply`.
pub fn crd_yaml() -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(&crd())
}

/// The CRD of SoakTest. Its descriptions tell the defaults, since `kubectl explain` does not.
fn crd() -> CustomResourceDefinition {
    let mut crd = SoakTest::crd();
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut();
        let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_mut());
        let fields = schema.and_then(|schema| schema.properties.as_mut());
        if let Some(spec) = fields.and_then(|fields| fields.get_mut("spec")) {
            tell_defaults(spec);
        }
    }
    crd
}

fn tell_defaults(schema: &mut JSONSchemaProps) {
    let default = schema
        .default
        .as_ref()
        .and_then(|default| in_words(&default.0));
    if let (Some(description), Some(default)) = (&mut schema.description, default) {
        *description = format!("{description} Default: {default}.");
    }
    for inner in schema
        .properties
        .iter_mut()
        .flat_map(|fields| fields.values_mut())
    {
        tell_defaults(inner);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tell_defaults(items);
    }
}

/// Switches are off where left out, and of an object each field tells its own.
fn in_words(default: &Value) -> Option<String> {
    match default {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.as_f64()?.to_string()),
        Value::Bool(true) => Some("true".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_tells_the_default_of_its_field() {
        let yaml = crd_yaml().expect("YAML");
        let folded = yaml.split_whitespace().collect::<Vec<_>>().join(" ");
        for (field, default) in [
            ("to recover and to drain, before it is judged", "120s"),
            ("than this percentage of those planned", "50"),
            (
                "one that was there before is always left as it is",
                "Delete",
            ),
            ("projected", "86400s"),
        ] {
            let told = format!("{field}. Default: {default}.");
            assert!(folded.contains(&told), "{told}");
        }
        assert!(!folded.contains("Default: Pending"), "nobody sets a status");
    }
}
