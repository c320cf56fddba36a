//! The SoakTest again, as it can be applied.

use anyhow::Context;
use maud::{Markup, html};
use serde_json::json;

use crate::report::view::View;

/// The spec with the seed that was drawn, so that the same chaos comes again.
pub(super) fn yaml(view: &View<'_>) -> anyhow::Result<String> {
    let mut spec = view.spec.clone();
    spec.seed = view.seed();
    let mut spec = serde_json::to_value(spec)?;
    if let Some(fields) = spec.as_object_mut() {
        // How it was ended is no part of how it is begun.
        fields.remove("abort");
        fields.remove("suspend");
    }
    let mut metadata = json!({"name": view.name()});
    if !view.namespace().is_empty() {
        metadata["namespace"] = view.namespace().into();
    }
    let test = json!({
        "apiVersion": "soak-operator.io/v1alpha1", "kind": "SoakTest", "metadata": metadata, "spec": spec,
    });
    serde_saphyr::to_string(&test).context("failed to write the SoakTest as YAML")
}

pub(super) fn section(view: &View<'_>, yaml: &str) -> Markup {
    html! {
        section {
            h2 { "Run it again" }
            p {
                "The same seed gives the same instants, kinds and ranks of chaos, not the same pod names. Under another name, or once "
                "this SoakTest is deleted:"
            }
            pre { code { "kubectl apply -f soak.yaml" } }
            details {
                summary { "soak.yaml, with every default written out" }
                pre { code { (yaml) } }
            }
            @if let Some(version) = view.status.plan_version {
                p.note { "The plan follows version " (version) " of the rules by which a seed becomes a plan." }
            }
        }
    }
}
