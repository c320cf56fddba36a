//! A namespace of a test's own, which goes when the test does.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace as KubeNamespace, ServiceAccount};
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use soak_api::{SOAK_TEST, SoakTest};

use crate::command::kubectl_now;
use crate::report::report;
use crate::{Probe, Soak, say, wait_until};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A namespace that nobody else uses. Dropping it deletes it, and after a panic first shows what is in it.
pub struct Namespace {
    /// To everything else in the cluster.
    pub client: Client,
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// A new one; `theme` becomes part of its name.
    pub async fn new(client: &Client, theme: &str) -> Self {
        let name = format!(
            "e2e-{theme}-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        // hack/e2e.sh removes by this label what an interrupted run left.
        let labels = json!({"soak-operator.io/e2e": "true"});
        let object =
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
        let namespaces: Api<KubeNamespace> = Api::all(client.clone());
        namespaces
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        let namespace = Self {
            client: client.clone(),
            name,
        };
        // Pods are refused before it exists.
        let accounts: Api<ServiceAccount> = namespace.api();
        wait_until(
            "the default service account",
            Duration::from_secs(30),
            async || match accounts.get_opt("default").await {
                Ok(Some(_)) => Probe::Done(()),
                other => Probe::Waiting(format!("{other:?}")),
            },
        )
        .await;
        namespace
    }

    /// Its objects of one kind.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// What the API server tells of its objects of one kind that belong to soaks. A watch that breaks begins anew, later each
    /// time: one that did so at once would keep an API server busy that is to start.
    pub fn told_of<K>(&self) -> BoxStream<'static, watcher::Result<watcher::Event<K>>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let ours = watcher::Config::default().labels(SOAK_TEST);
        watcher(self.api::<K>(), ours).default_backoff().boxed()
    }

    /// Creates the `SoakTest` here, as `kubectl create` would.
    pub async fn soak(&self, test: &SoakTest) -> Soak {
        let tests: Api<SoakTest> = self.api();
        let name = test.name_any();
        match tests.create(&PostParams::default(), test).await {
            Ok(_) => say(&format!("created soaktest {name} in {}", self.name)),
            Err(error) => panic!("failed to create soaktest {name}: {error}"),
        }
        Soak::new(self, &name)
    }

    /// The `SoakTest` of that name, which somebody else has created here.
    pub fn existing(&self, name: &str) -> Soak {
        Soak::new(self, name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&format!(
                "failed; this is what namespace {} looks like:\n{}",
                self.name,
                report(&self.name)
            ));
        }
        kubectl_now(&[
            "delete",
            "namespace",
            &self.name,
            "--wait=false",
            "--ignore-not-found",
        ]);
    }
}
