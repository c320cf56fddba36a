//! Deployments that are there before the soak and stay after it. Nothing of them is changed here or anywhere.

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, ResourceExt};
use soak_api::{COMPONENT, Existing, ExistingDeployment, SOAK_TEST, SoakTest};

use super::Component;

pub(super) fn components(existing: &Existing) -> Vec<Component> {
    let all = existing.deployments.iter();
    all.map(|one| Component {
        name: one.name.clone(),
        deployment: one.name.clone(),
        replicas: one.replicas,
        memory_limit: None,
        judged: true,
    })
    .collect()
}

/// What is not as the SoakTest has it, and how to mend it: one sentence, or none.
pub(super) async fn problem(
    test: &SoakTest,
    existing: &Existing,
    deployments: &Api<Deployment>,
) -> kube::Result<Option<String>> {
    for planned in &existing.deployments {
        let found = deployments.get_opt(&planned.name).await?;
        if let Some(problem) = differs(test, planned, found.as_ref()) {
            return Ok(Some(problem));
        }
    }
    Ok(None)
}

fn differs(
    test: &SoakTest,
    planned: &ExistingDeployment,
    found: Option<&Deployment>,
) -> Option<String> {
    let name = &planned.name;
    let Some(found) = found else {
        let namespace = test.namespace().unwrap_or_default();
        return Some(format!(
            "there is no Deployment {name} in namespace {namespace}, which spec.workload.existing names"
        ));
    };
    let spec = found.spec.as_ref();
    let template = spec.and_then(|spec| spec.template.metadata.as_ref());
    let labels = template.and_then(|template| template.labels.as_ref());
    let soak = test.name_any();
    for (label, value) in [(SOAK_TEST, &soak), (COMPONENT, name)] {
        let own = labels.and_then(|labels| labels.get(label));
        if own != Some(value) {
            let as_it_is = own.map_or("is not there".to_owned(), |own| format!("is {own}"));
            return Some(format!(
                "the pods of Deployment {name} have not agreed to be hit: label {label} of its pod template {as_it_is}, and has to be {value}"
            ));
        }
    }
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let planned = planned.replicas;
    if i64::from(wanted) != i64::from(planned) {
        return Some(format!(
            "Deployment {name} is to have {wanted} pods, and spec.workload.existing says {planned}: scale it, or say {wanted} in another SoakTest"
        ));
    }
    let status = found.status.clone().unwrap_or_default();
    let seen = status.observed_generation >= found.metadata.generation;
    let counts = [
        status.replicas,
        status.updated_replicas,
        status.ready_replicas,
    ];
    let rolled_out = counts.iter().all(|count| *count == Some(wanted));
    (!seen || !rolled_out).then(|| {
        let updated = status.updated_replicas.unwrap_or(0);
        let ready = status.ready_replicas.unwrap_or(0);
        format!(
            "Deployment {name} is not rolled out: of {wanted} pods {updated} have its newest template, and {ready} are ready"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(deployment: Option<Value>) -> Option<String> {
        let test = serde_json::from_value(json!({
            "apiVersion": "soak-operator.io/v1alpha1",
            "kind": "SoakTest",
            "metadata": {"name": "friday", "namespace": "shop"},
            "spec": {
                "duration": "10m",
                "workload": {"existing": {"deployments": [{"name": "cart", "replicas": 3}]}},
                "criteria": [{"name": "goroutines", "growth": {"query": "go_goroutines", "maxPercent": 5}}]
            }
        }));
        let test: SoakTest = test.expect("a SoakTest");
        let existing = test.spec.workload.existing.clone().expect("existing");
        let found = deployment.map(|one| serde_json::from_value(one).expect("a Deployment"));
        differs(&test, &existing.deployments[0], found.as_ref())
    }

    fn deployment(labels: &Value, replicas: u32) -> Value {
        json!({
            "metadata": {"name": "cart", "generation": 2},
            "spec": {
                "replicas": replicas,
                "selector": {},
                "template": {"metadata": {"labels": labels}}
            },
            "status": {
                "observedGeneration": 2,
                "replicas": replicas,
                "updatedReplicas": replicas,
                "readyReplicas": replicas
            }
        })
    }

    fn agreed() -> Value {
        json!({"app": "cart", SOAK_TEST: "friday", COMPONENT: "cart"})
    }

    #[test]
    fn a_deployment_that_agrees_and_has_the_planned_pods_is_as_it_should_be() {
        assert_eq!(told(Some(deployment(&agreed(), 3))), None);
    }

    #[test]
    fn whatever_is_not_as_it_should_be_is_told_with_what_mends_it() {
        let with_status = |field: &str, count: u32| {
            let mut one = deployment(&agreed(), 3);
            one["status"][field] = json!(count);
            Some(one)
        };
        let mut of_another = agreed();
        of_another[SOAK_TEST] = json!("monday");
        let mut of_no_component = agreed();
        of_no_component[COMPONENT] = Value::Null;
        of_no_component
            .as_object_mut()
            .expect("labels")
            .remove(COMPONENT);
        for (found, sentence) in [
            (None, "there is no Deployment cart in namespace shop"),
            (
                Some(deployment(&json!({}), 3)),
                "soak-operator.io/soaktest of its pod template is not there, and has to be friday",
            ),
            (
                Some(deployment(&of_another, 3)),
                "soak-operator.io/soaktest of its pod template is monday, and has to be friday",
            ),
            (
                Some(deployment(&of_no_component, 3)),
                "soak-operator.io/component of its pod template is not there, and has to be cart",
            ),
            (
                Some(deployment(&agreed(), 5)),
                "Deployment cart is to have 5 pods, and spec.workload.existing says 3",
            ),
            (
                with_status("updatedReplicas", 2),
                "of 3 pods 2 have its newest template, and 3 are ready",
            ),
            (
                with_status("readyReplicas", 1),
                "of 3 pods 3 have its newest template, and 1 are ready",
            ),
            (
                with_status("replicas", 4),
                "Deployment cart is not rolled out",
            ),
            (
                with_status("observedGeneration", 1),
                "Deployment cart is not rolled out",
            ),
        ] {
            let told = told(found).expect("a problem");
            assert!(told.contains(sentence), "{told}");
        }
    }
}
