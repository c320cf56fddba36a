//! What holds once a soak is over, of the cluster as it is left.

use k8s_openapi::api::core::v1::ConfigMap;
use soak_api::{
    EVIDENCE_KEY, Evidence, PhaseTimes, SoakOutcome, SoakTest, SoakTestStatus, WorkloadCleanup,
};

use super::cluster::{Life, State};
use super::promises::overlap;
use crate::journal::Journal;
use crate::workload;

/// What holds once the soak is over.
pub(super) fn at_the_end(state: &mut State, test: &SoakTest) {
    let status = test.status.clone().unwrap_or_default();
    let maps = state
        .objects
        .iter()
        .filter(|((resource, _), _)| resource == "configmaps");
    let batches = maps.filter_map(|(_, map)| map.pointer("/data")?.as_object());
    let batches = batches.flat_map(serde_json::Map::values);
    let chunks: Vec<String> = batches
        .filter_map(|lines| Some(lines.as_str()?.to_owned()))
        .collect();
    match Journal::read(chunks.iter().map(String::as_str), &status.journal) {
        Ok(journal) => state.promises.events_are_resolved(&status, &journal),
        Err(_) if status.outcome == Some(SoakOutcome::Inconclusive) => {}
        Err(error) => state
            .promises
            .breaks("a journal that is torn is Inconclusive", error),
    }
    state.keeps_what_it_says(test, &status);
    state.leaves_nothing(test);
    let left = state.in_force(test);
    if !left.is_empty() {
        state
            .promises
            .breaks("reversible events are undone", left.join(", "));
    }
    state.promises.breaches_have_causes(&status);
    if status.outcome == Some(SoakOutcome::Passed) {
        let unseen = unseen(state, &status.times);
        let drained = state.drained.is_some() || !workload::is_own(&test.spec.workload);
        let promises = &mut state.promises;
        promises.passed_with_evidence(&status, unseen, drained);
    }
}

/// Whether nothing that was to be removed is said to be left.
pub(super) fn is_cleaned_up(test: &SoakTest) -> bool {
    let conditions = test.status.iter().flat_map(|status| &status.conditions);
    let mut of_it = conditions.filter(|condition| condition.type_ == "CleanedUp");
    of_it.any(|condition| condition.status == "True")
}

impl State {
    /// What could not be removed in time is removed later, and what is said to be removed is.
    fn leaves_nothing(&mut self, test: &SoakTest) {
        let removes = workload::is_own(&test.spec.workload)
            && test.spec.cleanup.workload == WorkloadCleanup::Delete;
        let objects = self.objects.keys().filter(|_| removes);
        let of_workload = |of: &str| matches!(of, "deployments" | "services");
        let left: Vec<_> = objects.filter(|(of, _)| of_workload(of)).collect();
        let how = format!("it says {}, left: {left:?}", is_cleaned_up(test));
        if !is_cleaned_up(test) || !left.is_empty() {
            self.promises.breaks("what a soak brings is removed", how);
        }
    }

    /// What is kept for reports is what the status says.
    fn keeps_what_it_says(&mut self, test: &SoakTest, status: &SoakTestStatus) {
        let Some(name) = &status.evidence else {
            return;
        };
        let map = self.objects.get(&("configmaps".to_owned(), name.clone()));
        let kept = map.and_then(|map| {
            let map: ConfigMap = serde_json::from_value(map.clone()).ok()?;
            let bytes = map.binary_data?.remove(EVIDENCE_KEY)?;
            Evidence::decode(&bytes.0).ok()
        });
        let Some(kept) = kept else {
            self.promises
                .breaks("evidence is kept", format!("{name} has none"));
            return;
        };
        let said = kept.soak_test.status.unwrap_or_default();
        self.promises.kept = true;
        let same = said.outcome == status.outcome
            && said.criteria == status.criteria
            && kept.soak_test.metadata.uid == test.metadata.uid
            && kept.events.len() == status.chaos.due as usize;
        if !same {
            let how = format!("{:?} and {:?}", said.outcome, status.outcome);
            self.promises
                .breaks("what is kept is what the status says", how);
        }
    }
}

/// The time in seconds that judged pods lived inside the window, and how much of it Prometheus was away.
fn unseen(state: &State, times: &PhaseTimes) -> (f64, f64) {
    let window = (
        times.soaking.unwrap_or_default(),
        times.settling.unwrap_or_default(),
    );
    let (mut whole, mut missed) = (0.0, 0.0);
    let judged = |life: &&Life| matches!(life.component.as_str(), "worker" | "producer");
    for life in state.lives.values().filter(judged) {
        let life = (
            life.from.max(window.0),
            life.to.unwrap_or(window.1).min(window.1),
        );
        whole += overlap(life, window);
        missed += state
            .blind
            .iter()
            .map(|away| overlap(life, *away))
            .sum::<f64>();
    }
    (whole, missed)
}
