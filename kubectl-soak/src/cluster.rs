//! The cluster that kubectl would talk to, and its errors in plain words.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use soak_api::SoakTest;

/// Which cluster, and which namespace of it: the flags of kubectl.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// The namespace; that of the context where left out
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// The context of the kubeconfig; the current one where left out
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) context: Option<String>,

    /// The kubeconfig; KUBECONFIG or ~/.kube/config where left out
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// A cluster within reach.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// What a command that is told to people has to repeat, such as ` -n soak`.
    pub(crate) flags: String,
}

impl Args {
    /// Reads the kubeconfig; nothing is asked yet.
    pub(crate) async fn open(&self) -> anyhow::Result<Cluster> {
        self.open_for(None).await
    }

    /// The same for an object that names its namespace.
    pub(crate) async fn open_for(&self, own: Option<&str>) -> anyhow::Result<Cluster> {
        if let (Some(own), Some(asked)) = (own, &self.namespace)
            && own != asked
        {
            bail!("the object is for namespace {own}, and -n says {asked}: leave out one of them");
        }
        let config = self
            .config()
            .await
            .context("failed to find out which cluster to talk to")?;
        let namespace = own
            .map(str::to_owned)
            .or_else(|| self.namespace.clone())
            .unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("failed to set up a client")?;
        Ok(Cluster {
            client,
            flags: self.flags(&namespace),
            namespace,
        })
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let read = match &self.kubeconfig {
            Some(path) => match Kubeconfig::read_from(path) {
                Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
                Err(problem) => Err(problem),
            },
            None => Config::from_kubeconfig(&options).await,
        };
        read.or_else(|problem| {
            let unusable = unusable(&problem, self.kubeconfig.as_deref());
            if self.kubeconfig.is_some() || self.context.is_some() {
                return Err(unusable);
            }
            // In a pod there is no kubeconfig.
            Config::incluster().map_err(|_| unusable)
        })
    }

    fn flags(&self, namespace: &str) -> String {
        let context = self.context.iter().map(|name| format!(" --context {name}"));
        let kubeconfig = self.kubeconfig.iter();
        let kubeconfig = kubeconfig.map(|path| format!(" --kubeconfig {}", path.display()));
        let flags: String = context.chain(kubeconfig).collect();
        format!(" -n {namespace}{flags}")
    }
}

/// Why a kubeconfig does not lead to a cluster, and what to do about it.
fn unusable(problem: &KubeconfigError, given: Option<&Path>) -> anyhow::Error {
    let kubeconfig = given.map_or("the kubeconfig".to_owned(), |path| {
        format!("the kubeconfig {}", path.display())
    });
    match problem {
        KubeconfigError::ReadConfig(cause, path) if cause.kind() == ErrorKind::NotFound => anyhow!(
            "there is no kubeconfig {}: name one with --kubeconfig or KUBECONFIG",
            path.display()
        ),
        KubeconfigError::ReadConfig(cause, path) => {
            anyhow!("failed to read the kubeconfig {}: {cause}", path.display())
        }
        KubeconfigError::CurrentContextNotSet => anyhow!(
            "{kubeconfig} has no current context: give --context, or choose one with kubectl config use-context"
        ),
        KubeconfigError::LoadContext(name) => {
            anyhow!(
                "{kubeconfig} has no context {name}: kubectl config get-contexts lists its contexts"
            )
        }
        problem => {
            let problem = problem.to_string();
            // After the first line comes an excerpt.
            let problem = problem.lines().next().unwrap_or_default();
            anyhow!(
                "failed to use {kubeconfig}: {}",
                problem.replace("error: ", "")
            )
        }
    }
}

impl Cluster {
    /// The SoakTests of the namespace.
    pub(crate) fn soak_tests(&self) -> Api<SoakTest> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The SoakTest of that name.
    pub(crate) async fn soak_test(&self, name: &str) -> anyhow::Result<SoakTest> {
        let found = self.soak_tests().get_opt(name).await;
        found.map_err(explained)?.ok_or_else(|| {
            anyhow!(
                "there is no SoakTest {name} in namespace {}: kubectl soak list -A shows all",
                self.namespace
            )
        })
    }
}

/// The name of a SoakTest, which may have its kind before it, as in `soaktest/cart`.
#[expect(clippy::unnecessary_wraps, reason = "clap wants it so")]
pub(crate) fn soak_name(name: &str) -> Result<String, Infallible> {
    Ok(without_kind(name, &["soaktest", "soaktests"]))
}

/// The name of a Deployment, which may have its kind before it, as in `deploy/cart`.
#[expect(clippy::unnecessary_wraps, reason = "clap wants it so")]
pub(crate) fn deployment_name(name: &str) -> Result<String, Infallible> {
    Ok(without_kind(name, &["deployment", "deployments", "deploy"]))
}

fn without_kind(name: &str, kinds: &[&str]) -> String {
    let known = |kind: &str| kinds.contains(&kind.split('.').next().unwrap_or_default());
    let split = name.split_once('/').filter(|(kind, _)| known(kind));
    split.map_or(name, |(_, name)| name).to_owned()
}

/// What went wrong between us and the API server, and what to do about it.
pub(crate) fn explained(error: kube::Error) -> anyhow::Error {
    match error {
        // Of what is not there the server names the object, of a kind that it does not know it does not.
        kube::Error::Api(status)
            if status.code == 404 && status.message.contains("page not found") =>
        {
            anyhow!(
                "the cluster does not know SoakTests: install the operator, or at least its API with kubectl apply -f crds/"
            )
        }
        kube::Error::Api(status) if status.message.trim_start().starts_with('<') => anyhow!(
            "what answers, with code {}, is a web page and no API server: is this the right context, and no proxy before it?",
            status.code
        ),
        kube::Error::Api(status) => anyhow!("the API server says: {}", status.message),
        // What it is wrapped in says only that this was about a connection.
        kube::Error::Service(cause) => anyhow!(
            "failed to reach the API server: {}: is it up, and is this the right context? kubectl cluster-info asks it too",
            anyhow::Error::from_boxed(cause).root_cause()
        ),
        error => anyhow::Error::from(error).context("failed to ask the API server"),
    }
}

/// An API server that answers what it is told to.
#[cfg(test)]
pub(crate) mod fake {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::Cluster;

    /// An answer to one request.
    pub(crate) struct Answer(u16, Value);

    impl Answer {
        pub(crate) fn object(object: &impl Serialize) -> Self {
            Self(200, serde_json::to_value(object).expect("JSON"))
        }

        /// What is no JSON.
        pub(crate) fn text(code: u16, text: &str) -> Self {
            Self(code, Value::String(text.to_owned()))
        }

        pub(crate) fn not_found() -> Self {
            let message = "soaktests.soak-operator.io \"leaking\" not found";
            let status =
                json!({"status": "Failure", "reason": "NotFound", "code": 404, "message": message});
            Self(404, status)
        }
    }

    /// What was asked: method and path, and the body.
    pub(crate) type Asked = Arc<Mutex<Vec<(String, Value)>>>;

    /// A cluster that gives these answers in turn, and what it will have been asked.
    pub(crate) fn fake(answers: Vec<Answer>) -> (Cluster, Asked) {
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let asked = Asked::default();
        let seen = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (answers, seen) = (answers.clone(), seen.clone());
            async move {
                let call = format!("{} {}", request.method(), request.uri());
                let body = request.into_body().collect_bytes().await.expect("a body");
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                seen.lock().expect("no panic").push((call, body));
                let answer = answers.lock().expect("no panic").next();
                let Answer(code, body) = answer.expect("no further request");
                let body = match body {
                    Value::String(text) => text,
                    object => object.to_string(),
                };
                let body = Body::from(body.into_bytes());
                let response = Response::builder().status(code).body(body);
                Ok::<_, Infallible>(response.expect("a response"))
            }
        });
        let cluster = Cluster {
            client: Client::new(service, "soak"),
            namespace: "soak".to_owned(),
            flags: " -n soak".to_owned(),
        };
        (cluster, asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_object_for_another_namespace_is_refused() {
        let args = Args {
            namespace: Some("soak".to_owned()),
            ..Args::default()
        };
        let problem = args
            .open_for(Some("other"))
            .await
            .err()
            .expect("two namespaces");
        assert!(problem.to_string().contains("-n says soak"), "{problem}");
    }

    #[test]
    fn a_name_may_have_its_kind_before_it() {
        for name in [
            "cart",
            "deploy/cart",
            "deployment/cart",
            "deployment.apps/cart",
        ] {
            assert_eq!(deployment_name(name).as_deref(), Ok("cart"));
        }
        assert_eq!(
            soak_name("soaktests.soak-operator.io/cart").as_deref(),
            Ok("cart")
        );
        assert_eq!(soak_name("deploy/cart").as_deref(), Ok("deploy/cart"));
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_with_its_namespace() {
        let (cluster, _) = fake::fake(vec![fake::Answer::not_found()]);
        let problem = cluster.soak_test("leaking").await.expect_err("not there");
        assert_eq!(
            problem.to_string(),
            "there is no SoakTest leaking in namespace soak: kubectl soak list -A shows all"
        );
    }

    #[test]
    fn a_web_page_that_answers_is_not_shown_but_called_one() {
        let page = kube::core::Status::failure("<!DOCTYPE HTML>\n<html>", "").with_code(502);
        let problem = explained(kube::Error::Api(page.boxed())).to_string();
        assert!(
            problem.starts_with("what answers, with code 502, is a web page and no API server"),
            "{problem}"
        );
    }

    #[test]
    fn the_flags_that_led_to_a_cluster_lead_there_again() {
        let args = Args {
            namespace: None,
            context: Some("prod".to_owned()),
            kubeconfig: Some("k.yaml".into()),
        };
        assert_eq!(
            args.flags("soak"),
            " -n soak --context prod --kubeconfig k.yaml"
        );
        assert_eq!(Args::default().flags("default"), " -n default");
    }
}
