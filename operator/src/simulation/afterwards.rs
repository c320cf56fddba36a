//! What an operator still does once a soak is over.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use soak_api::{Phase, SoakTest, SoakTestStatus};
use tokio::task::JoinHandle;

use super::at_the_end::is_cleaned_up;
use super::cluster::{Model, NAME, NAMESPACE};
use super::faults::Faults;
use super::runs::{begin, repeatably, soaktest};
use crate::clock::Clock;

/// A soak without chaos, which lasts a minute at most.
fn short() -> Value {
    let mut test = soaktest(1);
    let spec = &mut test["spec"];
    spec["chaos"].take();
    (spec["duration"], spec["deadline"]) = (json!("1m"), json!("3m"));
    spec["cleanup"]["workload"] = json!("Delete");
    test
}

/// The cluster and the soak, whose operators go on.
struct Over(Arc<Model>, Vec<JoinHandle<()>>);

impl Over {
    /// As the soak is Completed.
    async fn of(script: Value, faults: Faults) -> Self {
        let began = Timestamp::from_second(1_800_000_000).expect("in range");
        let model = Arc::new(Model::new(1, faults, Clock::set_to(began)));
        model.state().user_writes(|test| *test = script, began);
        let tasks = begin(&model, 1);
        let over = Self(model, tasks);
        over.reaches(|test| status(test).phase == Phase::Completed)
            .await;
        over
    }

    /// Other processes take the place of those that have seen the end.
    fn fails_over(&mut self) {
        self.1.drain(..).for_each(|task| task.abort());
        self.1 = begin(&self.0, 1);
    }

    fn test(&self) -> Arc<SoakTest> {
        self.0.test().expect("nobody deletes it")
    }

    async fn reaches(&self, there: impl Fn(&SoakTest) -> bool) {
        let most = self.0.clock.now() + SignedDuration::from_mins(30);
        while !there(&self.test()) {
            assert!(self.0.clock.now() < most, "{:?}", status(&self.test()));
            pass(Duration::from_millis(200)).await;
        }
    }

    /// How often a deletion of the workers was refused so far.
    fn refused(&self) -> usize {
        let history = self.0.state().history.to_string();
        let refused = format!("DELETE deployments/{NAME}-worker is refused");
        history.matches(&refused).count()
    }

    fn reconciles(&self) -> u32 {
        self.0.state().promises.reconciles
    }

    fn object(&self, resource: &str, name: &str) -> Option<Value> {
        let key = (resource.to_owned(), name.to_owned());
        self.0.state().objects.get(&key).cloned()
    }

    /// How many workers there are to be.
    fn workers(&self) -> Option<u64> {
        let workers = self.object("deployments", &format!("{NAME}-worker"))?;
        workers.pointer("/spec/replicas")?.as_u64()
    }

    fn put(&self, resource: &str, name: &str, object: Value) {
        let key = (resource.to_owned(), name.to_owned());
        self.0.state().objects.insert(key, object);
    }
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

fn status(test: &SoakTest) -> SoakTestStatus {
    test.status.clone().unwrap_or_default()
}

/// Where the clean-up is refused for ten minutes, and a pod crashes every few seconds.
#[test]
fn what_is_left_is_tried_once_a_minute_whatever_its_pods_do() {
    repeatably(async {
        let faults = Faults {
            undeletable: true,
            crashes: 200,
            ..Faults::default()
        };
        let over = Over::of(short(), faults).await;
        let before = (over.refused(), over.reconciles(), status(&over.test()));
        pass(Duration::from_secs(600)).await;
        let (tries, passes) = (over.refused() - before.0, over.reconciles() - before.1);
        assert!((9..=11).contains(&tries), "{tries} in ten minutes");
        assert!(passes > 50, "pods crash: {passes}");
        assert_eq!(status(&over.test()), before.2, "and nothing is written");

        over.0.state().faults.undeletable = false;
        over.reaches(is_cleaned_up).await;
        let left = over.object("deployments", &format!("{NAME}-worker"));
        assert_eq!(left, None);
    });
}

fn with_partitions() -> Value {
    let mut test = short();
    test["spec"]["chaos"] = json!({
        "interval": {"min": "10s", "max": "10s"},
        "guard": {"startAfter": "5s"},
        "events": [{"networkPartition": {"component": "worker", "for": "5s"}}]
    });
    test
}

/// Cuts a pod off as an event does whose request was given up for lost, and was done all the same.
fn cut_off_late(over: &Over) -> String {
    let uid = &over.test().metadata.uid;
    let owner = json!([{"apiVersion": "soak-operator.io/v1alpha1", "kind": "SoakTest", "name": NAME, "uid": uid, "controller": true}]);
    let labels = json!({soak_api::SOAK_TEST: NAME, soak_api::EVENT: "0"});
    let name = format!("{NAME}-partition-0");
    let metadata = json!({"name": name, "namespace": NAMESPACE, "uid": "late", "labels": labels, "ownerReferences": owner});
    let policy = json!({"metadata": metadata, "spec": {"podSelector": {}}});
    over.put("networkpolicies", &name, policy);
    name
}

#[test]
fn a_pod_that_is_cut_off_after_the_end_is_connected_again() {
    repeatably(async {
        let over = Over::of(with_partitions(), Faults::default()).await;
        assert!(is_cleaned_up(&over.test()));
        let policy = cut_off_late(&over);
        pass(Duration::from_secs(70)).await;
        assert_eq!(over.object("networkpolicies", &policy), None);
        pass(Duration::from_secs(130)).await;
        assert!(is_cleaned_up(&over.test()));

        let passes = over.reconciles();
        pass(Duration::from_secs(600)).await;
        assert_eq!(over.reconciles(), passes, "nobody looks any more");
    });
}

#[test]
fn a_pod_that_is_cut_off_after_another_operator_has_looked_is_connected_again() {
    repeatably(async {
        let mut over = Over::of(with_partitions(), Faults::default()).await;
        over.fails_over();
        let passes = over.reconciles();
        while over.reconciles() < passes + 2 {
            pass(Duration::from_secs(1)).await;
        }
        let policy = cut_off_late(&over);
        pass(Duration::from_secs(130)).await;
        assert_eq!(over.object("networkpolicies", &policy), None);
    });
}

/// Its workload is deleted, and a pod is cut off, where no deletion is answered.
#[test]
fn a_soak_that_cannot_undo_or_remove_anything_is_over_by_its_deadline() {
    for seconds in 70..110 {
        repeatably(async {
            let mut test = with_partitions();
            test["spec"]["deadline"] = json!(format!("{seconds}s"));
            let faults = Faults {
                unanswered: true,
                ..Faults::default()
            };
            let over = Over::of(test, faults).await;
            let status = status(&over.test());
            assert!(!is_cleaned_up(&over.test()));
            let left = status.deadline_at.expect("a deadline") - SignedDuration::from_millis(1_200);
            assert!(status.times.completed < Some(left), "{:?}", status.times);
            let broken = over.0.state().promises.broken.clone();
            assert_eq!(broken, Vec::<String>::new(), "{}", over.0.state().history);
        });
    }
}

/// A soak that is over and that could not scale its workers back.
async fn still_scaled() -> Over {
    let mut script = short();
    script["spec"]["chaos"] = json!({
        "interval": {"min": "10s", "max": "10s"},
        "guard": {"startAfter": "5s"},
        "events": [{"scale": {"component": "worker", "by": {"min": 1, "max": 1}, "for": "5s"}}]
    });
    script["spec"]["cleanup"]["workload"] = json!("Keep");
    let faults = Faults {
        stuck: true,
        ..Faults::default()
    };
    let over = Over::of(script, faults).await;
    assert!(!is_cleaned_up(&over.test()));
    assert_eq!(over.workers(), Some(5));
    over
}

#[test]
fn what_could_not_be_scaled_back_is_once_that_is_allowed() {
    repeatably(async {
        let over = still_scaled().await;
        over.0.state().faults.stuck = false;
        over.reaches(is_cleaned_up).await;
        assert_eq!(over.workers(), Some(4));
    });
}

#[test]
fn whoever_scales_a_kept_workload_once_the_soak_is_over_keeps_that() {
    repeatably(async {
        let over = still_scaled().await;
        let name = format!("{NAME}-worker");
        let mut workers = over.object("deployments", &name).expect("it is kept");
        workers["spec"]["replicas"] = json!(7);
        over.put("deployments", &name, workers);
        over.0.state().faults.stuck = false;
        over.reaches(is_cleaned_up).await;
        pass(Duration::from_secs(300)).await;
        assert_eq!(over.workers(), Some(7));
    });
}
