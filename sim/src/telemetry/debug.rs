//! Faults on demand: the simulation is a subject to be hurt, and what hurts it in an experiment has to be real.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{StatusCode, Uri};

/// The most that is taken at once.
const MOST_BYTES: usize = 1 << 30;

/// Memory that was taken and is never given back.
#[derive(Clone, Debug, Default)]
pub(super) struct Hoard(Arc<Mutex<Vec<Vec<u8>>>>);

impl Hoard {
    /// `POST /debug/allocate?bytes=N` takes and touches that many bytes, up to 1 GiB, until the process ends.
    pub(super) fn allocate(&self, uri: &Uri) -> (StatusCode, String) {
        let bytes = uri
            .query()
            .and_then(|query| query.strip_prefix("bytes="))
            .and_then(|text| text.parse().ok());
        match bytes {
            Some(bytes) if bytes <= MOST_BYTES => {
                let taken = vec![1; bytes];
                self.0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(taken);
                (StatusCode::OK, format!("{bytes} bytes taken\n"))
            }
            _ => (
                StatusCode::BAD_REQUEST,
                format!("use ?bytes=N with N up to {MOST_BYTES}\n"),
            ),
        }
    }
}

/// `POST /debug/crash?pod=NAME` ends the process at once, without a word to anybody, if it is this pod: addresses of pods are
/// used again, and who is told must be who was meant.
pub(super) fn crash(own: &str, uri: &Uri) -> (StatusCode, String) {
    match meant_for(own, uri) {
        Ok(()) => std::process::abort(),
        Err(refusal) => refusal,
    }
}

fn meant_for(own: &str, uri: &Uri) -> Result<(), (StatusCode, String)> {
    let named = uri.query().and_then(|query| query.strip_prefix("pod="));
    match named {
        Some(pod) if pod == own => Ok(()),
        Some(pod) => Err((StatusCode::CONFLICT, format!("this is {own}, not {pod}\n"))),
        None => Err((StatusCode::BAD_REQUEST, format!("use ?pod={own}\n"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_refused_unless_it_is_meant_for_this_pod() {
        let told = |query: &str| {
            let uri = format!("/debug/crash{query}").parse().expect("a path");
            meant_for("w-1", &uri).map_err(|(code, _)| code)
        };
        assert_eq!(told("?pod=w-1"), Ok(()));
        assert_eq!(told("?pod=w-2"), Err(StatusCode::CONFLICT));
        assert_eq!(told("?pod=w-1&more"), Err(StatusCode::CONFLICT));
        assert_eq!(told(""), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn what_is_taken_is_held_and_nonsense_takes_nothing() {
        let hoard = Hoard::default();
        let ask = |query: &str| {
            hoard
                .allocate(&format!("/debug/allocate{query}").parse().expect("a path"))
                .0
        };
        assert_eq!(ask("?bytes=1000"), StatusCode::OK);
        assert_eq!(ask(""), StatusCode::BAD_REQUEST);
        assert_eq!(ask("?bytes=many"), StatusCode::BAD_REQUEST);
        assert_eq!(ask("?bytes=99999999999999"), StatusCode::BAD_REQUEST);
        assert_eq!(hoard.0.lock().expect("not poisoned").len(), 1);
    }
}
