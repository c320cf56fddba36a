//! Requests to the API server, counted and timed on their way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Method, Request, Response, StatusCode};
use tower::{Layer, Service};

use crate::metrics::Metrics;

/// Counts what passes through it.
#[derive(Clone, Debug)]
pub(crate) struct Counting(pub(crate) Metrics);

/// A client that counts its requests.
#[derive(Clone, Debug)]
pub(crate) struct Counted<S> {
    inner: S,
    metrics: Metrics,
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        let metrics = self.0.clone();
        Counted { inner, metrics }
    }
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (method, metrics) = (request.method().clone(), self.metrics.clone());
        let asked = Asked {
            metrics,
            method,
            began: Instant::now(),
            code: None,
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            // All of it, so that it ends when this does.
            let mut asked = asked;
            let answer = answer.await;
            asked.code = answer.as_ref().ok().map(Response::status);
            answer
        })
    }
}

/// A request that is counted when it ends, also where nobody waits for its answer any more.
struct Asked {
    metrics: Metrics,
    method: Method,
    began: Instant,
    code: Option<StatusCode>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.metrics
            .requested(&self.method, self.code, self.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn a_request_is_counted_by_its_verb_and_its_answer_or_that_there_was_none() {
        let metrics = Metrics::new();
        let server = service_fn(async |request: Request<()>| match request.uri().path() {
            "/lost" => Err("no answer"),
            "/slow" => std::future::pending().await,
            _ => Ok(Response::builder()
                .status(StatusCode::CONFLICT)
                .body(())
                .expect("one")),
        });
        let client = Counting(metrics.clone()).layer(server);
        for path in ["/there", "/there", "/lost"] {
            let request = Request::patch(path).body(()).expect("a request");
            let answer = client.clone().oneshot(request).await;
            assert_eq!(answer.is_ok(), path == "/there");
        }
        let slow = Request::patch("/slow").body(()).expect("a request");
        drop(Box::pin(client.clone().call(slow)));
        let text = metrics.text();
        for line in [
            "soak_operator_api_requests_total{verb=\"PATCH\",code=\"409\"} 2",
            "soak_operator_api_requests_total{verb=\"PATCH\",code=\"none\"} 2",
            "soak_operator_api_request_seconds_count 4",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
