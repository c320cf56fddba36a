//! The chart, by real helm: what it installs, what upgrades change, what uninstalling leaves, and what the operator may
//! do. The CRD belongs to the release that `make deploy` installed, so other releases here do without it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use soak_e2e::{Namespace, Operator, client, helm, kubectl, repository, say};

const CHART: &str = "charts/soak-operator";

/// A release in a namespace of its own, whose operator looks nowhere else.
struct Release {
    namespace: Namespace,
    values: Vec<String>,
}

impl Release {
    async fn new(client: &Client, theme: &str) -> Self {
        let namespace = Namespace::new(client, theme).await;
        let image = Operator::find(client).await.image;
        let (repository, tag) = image.rsplit_once(':').expect("an image with a tag");
        let values = vec![
            "crds.install=false".to_owned(),
            "rbac.aggregate=false".to_owned(),
            "prometheus.url=http://prometheus.invalid:9090".to_owned(),
            format!("watchNamespaces={{{}}}", namespace.name),
            format!("image.repository={repository}"),
            format!("image.tag={tag}"),
        ];
        Self { namespace, values }
    }

    /// Its name, which is also the namespace's, so that nothing of it has a name that another has.
    fn name(&self) -> &str {
        &self.namespace.name
    }

    async fn upgrade(&self, chart: &str, more: &[&str]) -> Result<String, String> {
        let mut arguments = vec![
            "upgrade",
            "--install",
            self.name(),
            chart,
            "--namespace",
            self.name(),
        ];
        arguments.extend(["--wait", "--timeout", "90s"]);
        for value in self
            .values
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
        {
            arguments.extend(["--set", value]);
        }
        helm(&arguments).await
    }

    async fn uninstall(&self) {
        helm(&[
            "uninstall",
            self.name(),
            "--namespace",
            self.name(),
            "--wait",
            "--timeout",
            "60s",
        ])
        .await
        .unwrap();
    }

    /// Everything in the cluster that carries the release's label.
    async fn objects(&self) -> Vec<String> {
        let instance = format!("app.kubernetes.io/instance={}", self.name());
        let kinds = "deployments,replicasets,pods,services,configmaps,secrets,serviceaccounts,roles,rolebindings";
        let here = [
            "get",
            kinds,
            "-n",
            self.name(),
            "-l",
            &instance,
            "-o",
            "name",
        ];
        let everywhere = [
            "get",
            "clusterroles,clusterrolebindings",
            "-l",
            &instance,
            "-o",
            "name",
        ];
        let found = kubectl(&here).await.unwrap() + &kubectl(&everywhere).await.unwrap();
        found.lines().map(str::to_owned).collect()
    }

    async fn deployment(&self) -> Value {
        let name = format!("{}-soak-operator", self.name());
        let said = kubectl(&["get", "deployment", &name, "-n", self.name(), "-o", "json"])
            .await
            .unwrap();
        serde_json::from_str(&said).unwrap()
    }
}

#[tokio::test]
async fn a_release_is_installed_upgraded_and_uninstalled_without_a_trace() {
    let release = Release::new(&client().await, "chart").await;
    let notes = release.upgrade(CHART, &[]).await.unwrap();
    assert!(
        notes.contains("SoakTests are carried out in the namespaces"),
        "{notes}"
    );
    let deployment = release.deployment().await;
    assert_eq!(
        deployment["status"]["readyReplicas"],
        json!(1),
        "{deployment:#}"
    );
    let objects = release.objects().await;
    for kind in ["deployment", "serviceaccount", "role.", "rolebinding"] {
        assert!(
            objects.iter().any(|object| object.starts_with(kind)),
            "no {kind} in {objects:?}"
        );
    }
    assert!(
        !objects
            .iter()
            .any(|object| object.starts_with("clusterrole")),
        "more than it needs: {objects:?}"
    );

    release.upgrade(CHART, &["log.level=debug"]).await.unwrap();
    let deployment = release.deployment().await;
    let environment = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    assert!(
        environment
            .as_array()
            .unwrap()
            .contains(&json!({"name": "RUST_LOG", "value": "debug"})),
        "{environment}"
    );
    assert_eq!(
        deployment["status"]["readyReplicas"],
        json!(1),
        "{deployment:#}"
    );

    release.uninstall().await;
    let left = release.objects().await;
    // Pods that are on their way out belong to the Deployment, which --wait has seen go.
    let left: Vec<_> = left
        .iter()
        .filter(|object| !object.starts_with("pod/"))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    kubectl(&["get", "crd", "soaktests.soak-operator.io"])
        .await
        .expect("the CRD stays");
}

/// Whoever waits for the Lease gets it at once then, and not only once it has run out.
#[tokio::test]
async fn told_to_stop_the_operator_releases_its_lease() {
    let client = client().await;
    let release = Release::new(&client, "chart-stop").await;
    let leases: Api<Lease> = Api::namespaced(client, release.name());
    let mut versions = watcher(leases, watcher::Config::default())
        .applied_objects()
        .boxed();
    release.upgrade(CHART, &[]).await.unwrap();
    let (mut leader, mut told) = (None, None);
    let released = async {
        loop {
            let lease = versions.next().await.unwrap().unwrap();
            let holder = lease.spec.and_then(|spec| spec.holder_identity);
            match (holder.filter(|holder| !holder.is_empty()), &leader) {
                (Some(uid), None) => {
                    told = Some(Timestamp::now());
                    let ours = format!("app.kubernetes.io/instance={}", release.name());
                    let stop = [
                        "delete",
                        "pods",
                        "-l",
                        &ours,
                        "-n",
                        release.name(),
                        "--wait=false",
                    ];
                    kubectl(&stop).await.unwrap();
                    leader = Some(uid);
                }
                (Some(uid), Some(leader)) => assert_eq!(uid, *leader, "taken, and never released"),
                (None, Some(_)) => return Timestamp::now(),
                (None, None) => {}
            }
        }
    };
    let released = tokio::time::timeout(Duration::from_secs(90), released)
        .await
        .unwrap();
    let took = released.duration_since(told.unwrap()).as_secs_f64();
    say(&format!(
        "the Lease was released {took:.1} s after the operator was told to stop"
    ));
    release.uninstall().await;
}

#[tokio::test]
async fn values_that_do_not_exist_are_refused_by_helm() {
    let release = Release::new(&client().await, "chart-values").await;
    let said = release
        .upgrade(CHART, &["promtheus.url=http://p:9090"])
        .await
        .expect_err("a misspelt value");
    assert!(
        said.contains("additional properties 'promtheus' not allowed"),
        "{said}"
    );
}

/// A copy of the chart whose CRD is another one, named for a test, so that it can come, change and go.
fn chart_with_crd(directory: &Path, group: &str, description: &str) {
    let crd =
        std::fs::read_to_string(repository().join("crds/soaktests.soak-operator.io.yaml")).unwrap();
    let crd = crd.replace("soaktests.soak-operator.io", &format!("soaktests.{group}"));
    let crd = crd.replace("group: soak-operator.io", &format!("group: {group}"));
    // Not to be listed with `kubectl get soaktests`, nor with `get all`.
    let crd = crd
        .replace("    categories:\n    - all\n    - soak\n", "")
        .replace("    shortNames:\n    - soak\n", "");
    let changed = crd.replace("The judged window, such as 6h", description);
    assert_ne!(crd, changed);
    let files = directory.join("crd-files");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("soaktests.soak-operator.io.yaml"), changed).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a test made outside of its namespace.
struct Leftovers {
    crd: String,
    directory: PathBuf,
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        let delete = [
            "delete",
            "crd",
            &self.crd,
            "--ignore-not-found",
            "--wait=false",
        ];
        let _ = std::process::Command::new("kubectl").args(delete).output();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test]
async fn the_crd_comes_with_the_release_changes_with_an_upgrade_and_stays_when_it_goes() {
    let release = Release::new(&client().await, "chart-crd").await;
    let group = format!("{}.soak-operator.io", release.name());
    let leftovers = Leftovers {
        crd: format!("soaktests.{group}"),
        directory: std::env::temp_dir().join(release.name()),
    };
    copy(&repository().join(CHART), &leftovers.directory);
    let chart = leftovers.directory.to_str().unwrap().to_owned();
    let with_crd = ["crds.install=true", "replicas=0"];
    let explained = async || {
        let said = kubectl(&["get", "crd", &leftovers.crd, "-o", "json"])
            .await
            .unwrap();
        let crd: Value = serde_json::from_str(&said).unwrap();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        spec["properties"]["duration"]["description"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    chart_with_crd(&leftovers.directory, &group, "As it was");
    release.upgrade(&chart, &with_crd).await.unwrap();
    assert!(
        explained().await.starts_with("As it was"),
        "{}",
        explained().await
    );
    chart_with_crd(&leftovers.directory, &group, "As it is");
    release.upgrade(&chart, &with_crd).await.unwrap();
    assert!(
        explained().await.starts_with("As it is"),
        "{}",
        explained().await
    );
    release.uninstall().await;
    assert!(
        explained().await.starts_with("As it is"),
        "the CRD stays, and with it what people made of it"
    );
}

#[tokio::test]
async fn the_crd_in_the_cluster_is_the_one_in_the_repository() {
    let said = kubectl(&["diff", "-f", "crds/"]).await;
    // kubectl diff shows the annotation of helm and of a first apply; nothing else may differ.
    let text = match &said {
        Ok(text) => text.clone(),
        Err(error) => panic!("the CRD differs from crds/: make deploy\n{error}"),
    };
    assert_eq!(text, "");
}

/// May this `ServiceAccount`, given by namespace and name, do this here?
async fn may(
    client: &Client,
    account: (&str, &str),
    verb: &str,
    resource: &str,
    namespace: &str,
) -> bool {
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review: SubjectAccessReview = serde_json::from_value(json!({"metadata": {}, "spec": {
        "user": format!("system:serviceaccount:{}:{}", account.0, account.1),
        "groups": ["system:serviceaccounts", "system:authenticated"],
        "resourceAttributes": {
            "verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": namespace,
        },
    }}))
    .unwrap();
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    reviews
        .create(&PostParams::default(), &review)
        .await
        .unwrap()
        .status
        .expect("an answer")
        .allowed
}

/// What the operator cannot do without.
const MUST: &[(&str, &str)] = &[
    ("list", "soaktests.soak-operator.io"),
    ("watch", "soaktests.soak-operator.io"),
    ("patch", "soaktests/status.soak-operator.io"),
    ("list", "pods"),
    ("watch", "pods"),
    ("delete", "pods"),
    ("create", "pods/eviction"),
    ("patch", "pods"),
    ("list", "networkpolicies.networking.k8s.io"),
    ("create", "networkpolicies.networking.k8s.io"),
    ("delete", "networkpolicies.networking.k8s.io"),
    ("list", "horizontalpodautoscalers.autoscaling"),
    ("get", "leases.coordination.k8s.io"),
    ("create", "configmaps"),
    ("patch", "configmaps"),
    ("create", "deployments.apps"),
    ("patch", "deployments.apps"),
    ("delete", "deployments.apps"),
    ("create", "services"),
    ("delete", "services"),
    ("create", "events.events.k8s.io"),
    ("patch", "events.events.k8s.io"),
    ("get", "nodes"),
];

/// What would be too much to let it do.
const MUST_NOT: &[(&str, &str)] = &[
    ("get", "secrets"),
    ("list", "secrets"),
    ("create", "pods"),
    ("update", "pods"),
    ("deletecollection", "pods"),
    ("patch", "networkpolicies.networking.k8s.io"),
    ("update", "networkpolicies.networking.k8s.io"),
    ("deletecollection", "networkpolicies.networking.k8s.io"),
    ("patch", "horizontalpodautoscalers.autoscaling"),
    ("create", "pods/exec"),
    ("get", "pods/log"),
    ("get", "pods/proxy"),
    ("update", "configmaps"),
    ("delete", "configmaps"),
    ("list", "configmaps"),
    ("create", "soaktests.soak-operator.io"),
    ("patch", "soaktests.soak-operator.io"),
    ("update", "soaktests.soak-operator.io"),
    ("delete", "soaktests.soak-operator.io"),
    ("delete", "nodes"),
    ("patch", "nodes"),
    ("update", "nodes"),
    ("get", "nodes/proxy"),
    ("create", "namespaces"),
    ("delete", "namespaces"),
    ("create", "daemonsets.apps"),
    ("create", "jobs.batch"),
    ("create", "serviceaccounts"),
    ("create", "serviceaccounts/token"),
    ("impersonate", "users"),
    ("create", "clusterroles.rbac.authorization.k8s.io"),
    ("bind", "clusterroles.rbac.authorization.k8s.io"),
    ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
    ("list", "leases.coordination.k8s.io"),
    ("create", "leases.coordination.k8s.io"),
    ("patch", "leases.coordination.k8s.io"),
    ("update", "leases.coordination.k8s.io"),
];

#[tokio::test]
async fn the_operator_may_do_what_it_must_and_nothing_more() {
    let client = client().await;
    let operator = Operator::find(&client).await;
    let account = (operator.namespace.as_str(), operator.name.as_str());
    for &(verb, resource) in MUST {
        assert!(
            may(&client, account, verb, resource, "default").await,
            "cannot {verb} {resource}"
        );
    }
    for &(verb, resource) in MUST_NOT {
        assert!(
            !may(&client, account, verb, resource, "default").await,
            "can {verb} {resource}"
        );
    }
    let own = account.0;
    assert!(
        may(
            &client,
            account,
            "update",
            "leases.coordination.k8s.io",
            own
        )
        .await,
        "cannot renew its Lease"
    );
    assert!(
        !may(
            &client,
            account,
            "delete",
            "leases.coordination.k8s.io",
            own
        )
        .await,
        "can delete Leases"
    );
    assert!(
        !may(&client, account, "get", "secrets", own).await,
        "can read the secrets beside it"
    );
}

#[tokio::test]
async fn an_operator_for_listed_namespaces_may_do_nothing_elsewhere() {
    let client = client().await;
    let release = Release::new(&client, "chart-scope").await;
    release.upgrade(CHART, &["replicas=0"]).await.unwrap();
    let name = format!("{}-soak-operator", release.name());
    let account = (release.name(), name.as_str());
    assert!(
        may(&client, account, "delete", "pods", release.name()).await,
        "cannot do its work"
    );
    for (verb, resource) in [
        ("delete", "pods"),
        ("list", "soaktests.soak-operator.io"),
        ("create", "deployments.apps"),
    ] {
        assert!(
            !may(&client, account, verb, resource, "default").await,
            "can {verb} {resource} elsewhere"
        );
    }
    assert!(
        !may(&client, account, "get", "nodes", "").await,
        "can see nodes"
    );
}
