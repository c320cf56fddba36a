//! Brings the parts together and takes them down again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use kube::Client;
use kube::client::ClientBuilder;
use kube::runtime::events::{Recorder, Reporter};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Config, LogFormat};
use crate::context::Context;
use crate::controller::{self, WATCHED_FOR};
use crate::counted::Counting;
use crate::facts::PodFacts;
use crate::lease::Keeper;
use crate::metrics::Metrics;
use crate::outside::{Outside, pod_client};
use crate::prometheus;
use crate::server::{Readiness, serve};
use crate::workload::Images;

/// How long the API server may be silent before a request counts as lost.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Waits to lead, then looks after SoakTests until it is told to stop, or until it no longer leads, which is an error.
pub async fn run(config: Config) -> anyhow::Result<()> {
    log_to_stdout(config.log_format);
    // Two providers in one process would panic at the first handshake.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = Metrics::new();
    let readiness = Readiness::default();
    let server = tokio::spawn(serve(config.http_addr, metrics.clone(), readiness.clone()));
    let (watching, asking) = clients(&metrics).await?;
    let (stop, clock) = (stopped_by_signal()?, Clock::default());
    let holder = config
        .pod_uid
        .clone()
        .unwrap_or_else(|| config.pod_name.clone());
    let (mut keeper, leadership) =
        Keeper::new(asking.clone(), &config.pod_namespace, holder, clock);
    readiness.set();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        "started, waiting to lead"
    );
    let work = {
        let (mut leadership, metrics, stop) = (leadership.clone(), metrics.clone(), stop.clone());
        async move {
            leadership.acquired().await;
            metrics.leads(true);
            tracing::info!("leading");
            look_after_soaktests(watching, asking, &config, leadership, metrics, stop).await
        }
    };
    let outcome = tokio::select! {
        result = work => result,
        () = keeper.keep() => Err(anyhow::anyhow!("leadership is lost")),
        () = stop.cancelled() => Ok(()),
        result = server => Err(anyhow::anyhow!("the HTTP server ended: {result:?}")),
    };
    keeper.release().await;
    outcome
}

/// One client for watches, which may be silent for as long as they last, and one for requests: a connection that died without
/// a word must not hold a soak beyond its deadline. A request is not repeated by the client itself either: whoever asked has to
/// know what the first answer was, and whether it still leads.
async fn clients(metrics: &Metrics) -> anyhow::Result<(Client, Client)> {
    let config = kube::Config::infer()
        .await
        .context("failed to find the cluster")?;
    let watching = giving_up_after(WATCHED_FOR + ANSWERED_WITHIN, config.clone());
    let asking = giving_up_after(ANSWERED_WITHIN, config);
    let client = |config| {
        let builder = ClientBuilder::try_from(config);
        let builder = builder.context("failed to make a client of the cluster")?;
        anyhow::Ok(builder.with_layer(&Counting(metrics.clone())).build())
    };
    Ok((client(watching)?, client(asking)?))
}

/// With such a configuration a request is given up after so long a silence.
fn giving_up_after(silence: Duration, mut config: kube::Config) -> kube::Config {
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(silence);
    // Or a request that goes out on a connection that was idle for almost as long would be given up at once.
    config.reset_reader_on_write = true;
    config.default_retry = false;
    config
}

async fn look_after_soaktests(
    watching: Client,
    asking: Client,
    config: &Config,
    leadership: crate::lease::Leadership,
    metrics: Metrics,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let reporter = Reporter {
        controller: "soak-operator".into(),
        instance: Some(config.pod_name.clone()),
    };
    let recorder = Recorder::new(asking.clone(), reporter);
    // Each start is another one: a gap between two of them is time in which nobody was there.
    let identity = format!("{}/{}", config.pod_name, Timestamp::now().as_millisecond());
    let http = prometheus::http_client().context("failed to make an HTTP client")?;
    let pods = pod_client().context("failed to make a client for pods")?;
    let images = Images {
        worker: config.sim_worker_image.clone(),
        producer: config.sim_producer_image.clone(),
        nats: config.nats_image.clone(),
    };
    let scopes = scopes(&config.watch_namespaces);
    let controllers = scopes.into_iter().map(|namespace| {
        let ctx = Context::new(
            asking.clone(),
            identity.clone(),
            images.clone(),
            config.prometheus_url.clone().filter(|url| !url.is_empty()),
            PodFacts::default(),
            recorder.clone(),
            metrics.clone(),
            leadership.clone(),
            Clock::default(),
            Outside::Network {
                http: http.clone(),
                pods: pods.clone(),
            },
        );
        controller::run(
            watching.clone(),
            namespace,
            Arc::new(ctx),
            stop.clone().cancelled_owned(),
        )
    });
    futures::future::join_all(controllers).await;
    Ok(())
}

/// Each namespace once, however often it is named; all of them where none is.
fn scopes(named: &[String]) -> BTreeSet<Option<String>> {
    let named = named.iter().map(|name| name.trim());
    let scopes: BTreeSet<_> = named
        .filter(|name| !name.is_empty())
        .map(|name| Some(name.to_owned()))
        .collect();
    if scopes.is_empty() {
        return [None].into();
    }
    scopes
}

/// Cancelled on SIGTERM and on Ctrl-C.
fn stopped_by_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
        told.cancel();
    });
    Ok(stop)
}

fn log_to_stdout(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new("info,kube_runtime=warn,async_nats=warn")
    });
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .init(),
        LogFormat::Pretty => log.compact().init(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const VERSION: &str = r#"{"major":"1","minor":"34","gitVersion":"v1.34.0","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;

    /// Answers one request after so long.
    async fn answer(connection: &mut TcpStream, after: Duration) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.expect("a request"));
        }
        tokio::time::sleep(after).await;
        let length = VERSION.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{VERSION}");
        connection
            .write_all(answer.as_bytes())
            .await
            .expect("it still waits");
    }

    fn watched(named: &[&str]) -> Vec<Option<String>> {
        let named: Vec<_> = named.iter().map(|name| (*name).to_owned()).collect();
        scopes(&named).into_iter().collect()
    }

    #[test]
    fn a_namespace_that_is_named_twice_is_looked_after_once() {
        let (shop, soak) = (Some("shop".to_owned()), Some("soak".to_owned()));
        assert_eq!(watched(&["soak", " soak", "shop"]), [shop, soak]);
    }

    #[test]
    fn all_namespaces_are_looked_after_where_none_is_named() {
        assert_eq!(watched(&[]), [None]);
        assert_eq!(watched(&["", " "]), [None]);
    }

    #[tokio::test]
    async fn a_request_on_a_connection_that_was_idle_has_as_long_as_any_other() {
        let (silence, pause) = (Duration::from_secs(6), Duration::from_secs(4));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            answer(&mut connection, Duration::ZERO).await;
            // The same connection, or this waits in vain.
            answer(&mut connection, pause).await;
        });
        let url = format!("http://{address}").parse().expect("a URL");
        let config = giving_up_after(silence, kube::Config::new(url));
        let client = Client::try_from(config).expect("a client");
        client.apiserver_version().await.expect("the first answer");
        tokio::time::sleep(pause).await;
        client.apiserver_version().await.expect("the second answer");
        server.await.expect("both were asked for");
    }
}
