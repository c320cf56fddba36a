//! The model of the API server: what kube's client asks over HTTP, with everything that can go wrong on the way.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::cluster::{Live, Model, NAME, NAMESPACE, State, event_of, labelled};
use super::promises::{Asked, Blow};

/// Who asks.
pub(super) struct Caller {
    /// The holder that its Lease names.
    pub(super) holder: String,
    /// Told when the process is killed.
    pub(super) killed: Notify,
}

impl Caller {
    pub(super) fn new(holder: String) -> Self {
        let killed = Notify::new();
        Self { holder, killed }
    }
}

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What becomes of a request.
enum Fate {
    Served,
    Refused {
        busy: bool,
        after: Duration,
    },
    /// Until its client gives up; it may be done long after it was asked for.
    Hangs {
        done: bool,
        after: Duration,
    },
    Lost,
    Killed {
        done: bool,
    },
}

pub(super) fn client(model: Arc<Model>, caller: Arc<Caller>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let (model, caller) = (model.clone(), caller.clone());
        // What is on its way goes on, whatever becomes of who sent it.
        let served = tokio::spawn(async move { serve(request, &model, &caller).await });
        async move { served.await.map_err(std::io::Error::other)? }
    });
    Client::new(service, NAMESPACE)
}

async fn serve(
    request: Request<Body>,
    model: &Model,
    caller: &Caller,
) -> Result<Response<Body>, std::io::Error> {
    let sent = model.clock.now();
    let (parts, body) = request.into_parts();
    let body = body.collect_bytes().await.map_err(std::io::Error::other)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = Path::of(&parts.uri, sent);
    let (fate, before, after) = {
        let mut state = model.state();
        let fate = state.fate(&parts.method, &path, sent);
        (fate, state.dice.between(1, 40), state.dice.between(1, 40))
    };
    tokio::time::sleep(Duration::from_millis(before)).await;
    let merges = parts
        .headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/merge-patch+json");
    let serve = || {
        let now = model.clock.now();
        let mut state = model.state();
        state.promises.comes_of(&caller.holder, sent);
        state.serve(&parts.method, merges, &path, &body, caller, now)
    };
    let reset = || std::io::Error::other("the connection is lost");
    let said = |what: &str, done: bool| {
        let done = if done { "done" } else { "not done" };
        model.tell(format!(
            "{} {} {path} {what}, {done}",
            caller.holder, parts.method
        ));
    };
    if !matches!(fate, Fate::Served | Fate::Refused { busy: true, .. }) {
        model
            .state()
            .promises
            .left_unanswered(path.event(&parts.method, merges, &body));
    }
    match fate {
        Fate::Served => {
            let (code, answer) = serve();
            tokio::time::sleep(Duration::from_millis(after)).await;
            respond(code, &answer)
        }
        Fate::Refused { busy, after } => {
            tokio::time::sleep(after).await;
            said("is refused", false);
            let (code, answer) = if busy {
                failure(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests")
            } else {
                failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
            };
            respond(code, &answer)
        }
        Fate::Hangs { done, after } => {
            said("hangs", done);
            tokio::time::sleep(after).await;
            if done {
                serve();
            }
            tokio::time::sleep(PATIENCE.saturating_sub(after)).await;
            Err(reset())
        }
        Fate::Lost => {
            said("is lost", true);
            serve();
            Err(reset())
        }
        Fate::Killed { done } => {
            said("is the last of its operator", done);
            if done {
                serve();
            }
            caller.killed.notify_one();
            std::future::pending().await
        }
    }
}

fn respond(code: StatusCode, answer: &Value) -> Result<Response<Body>, std::io::Error> {
    let body = serde_json::to_vec(answer).map_err(std::io::Error::other)?;
    Response::builder()
        .status(code)
        .body(Body::from(body))
        .map_err(std::io::Error::other)
}

/// Which object is meant.
struct Path {
    resource: String,
    name: String,
    subresource: String,
    /// What the API server's cache has is good enough.
    from_cache: bool,
    /// When it was asked for, which may be long before it is done.
    sent: Timestamp,
}

impl Path {
    fn of(uri: &http::Uri, sent: Timestamp) -> Self {
        let mut query = uri.query().unwrap_or_default().split('&');
        let mut parts = uri
            .path()
            .split('/')
            .skip_while(|part| *part != "namespaces")
            .skip(2);
        let mut next = || parts.next().unwrap_or_default().to_owned();
        let (resource, name, subresource) = (next(), next(), next());
        Self {
            resource,
            name,
            subresource,
            from_cache: query.any(|field| field == "resourceVersion=0"),
            sent,
        }
    }

    /// What is asked of which kind of object.
    fn asked(&self, method: &Method) -> String {
        let subresource = Some(&self.subresource).filter(|name| !name.is_empty());
        let of = subresource.map_or(String::new(), |name| format!("/{name}"));
        format!("{method} {}{of}", self.resource)
    }

    /// The event that is asked for, by its index or by its pod. A label of a pod does nothing by itself.
    fn event<'a>(&self, method: &Method, merges: bool, body: &'a Value) -> Option<Asked<'a>> {
        let index = |pointer| event_of(body.pointer(pointer)).map(Asked::Event);
        match (self.resource.as_str(), method.as_str()) {
            ("pods", "DELETE" | "POST") => {
                let of = ["/preconditions/uid", "/deleteOptions/preconditions/uid"];
                let mut uids = of.iter().filter_map(|of| body.pointer(of)?.as_str());
                uids.next().map(Asked::Pod)
            }
            ("deployments", "PATCH") if merges => index("/metadata/annotations"),
            ("networkpolicies", "POST") => index("/metadata/labels"),
            _ => None,
        }
    }

    fn is_status(&self) -> bool {
        self.subresource == "status"
    }

    /// Whether it is what a soak brings along, and no event makes or takes.
    fn is_of_workload(&self) -> bool {
        !matches!(self.resource.as_str(), "pods" | "networkpolicies")
    }
}

impl fmt::Display for Path {
    /// Without the names of events, which kube's recorder makes from the machine's own clock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.resource == "events" {
            ""
        } else {
            &self.name
        };
        write!(f, "{}/{name}", self.resource)?;
        if self.subresource.is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.subresource)
    }
}

fn failure(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "message": reason, "code": code.as_u16(),
    });
    (code, status)
}

fn over_budget() -> (StatusCode, Value) {
    let (code, mut status) = failure(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests");
    status["details"] =
        json!({"causes": [{"reason": "DisruptionBudget", "message": "needs 3 healthy pods"}]});
    (code, status)
}

impl State {
    /// Only one thing is ever listed: the pods that carry the leader's label.
    fn list_pods(&self) -> Value {
        let leads = self.leads().and_then(|name| self.pods.get(name));
        let items: Vec<_> = leads.map(|live| &live.pod).into_iter().collect();
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
    }

    fn fate(&mut self, method: &Method, path: &Path, now: Timestamp) -> Fate {
        let faults = self.faults;
        let busy = now.as_second() % 2 == 0;
        if faults.unanswered && *method == Method::DELETE && path.resource != "pods" {
            return Fate::Hangs {
                done: false,
                after: Duration::ZERO,
            };
        }
        if faults.undeletable && *method == Method::DELETE && path.is_of_workload() {
            let after = Duration::from_millis(self.later.between(0, 1_500));
            return Fate::Refused { busy, after };
        }
        if self.calm {
            return Fate::Served;
        }
        if path.is_status() && now < self.unwritten_until() {
            let after = Duration::ZERO;
            return Fate::Refused { busy, after };
        }
        let done = self.dice.chance(500);
        if self.dice.chance(faults.killed) {
            Fate::Killed { done }
        } else if self.dice.chance(faults.hangs) {
            let after = Duration::from_millis(self.dice.between(0, 9_000));
            Fate::Hangs { done, after }
        } else if self.dice.chance(faults.lost) {
            Fate::Lost
        } else if self.dice.chance(faults.refused) {
            let after = Duration::ZERO;
            Fate::Refused { busy: done, after }
        } else {
            Fate::Served
        }
    }

    fn serve(
        &mut self,
        method: &Method,
        merges: bool,
        path: &Path,
        body: &Value,
        caller: &Caller,
        now: Timestamp,
    ) -> (StatusCode, Value) {
        if !matches!(path.resource.as_str(), "events" | "leases") {
            self.promises.asked(|| path.asked(method));
        }
        if *method != Method::GET && path.resource != "events" {
            self.promises.wrote();
        }
        match path.resource.as_str() {
            "pods" if *method == Method::PATCH => self.label_pod(path, body, caller, now),
            "pods" => self.serve_pod(method, path, body, caller, now),
            "deployments" if merges => self.change_deployment(path, body, caller, now),
            "horizontalpodautoscalers" | "networkpolicies"
                if path.name.is_empty() && *method == Method::GET =>
            {
                (StatusCode::OK, self.list(path, caller, now))
            }
            "networkpolicies" if *method == Method::POST => self.cut_off(path, body, caller, now),
            "networkpolicies" if *method == Method::DELETE => self.reconnect(path, caller, now),
            "events" => (StatusCode::CREATED, body.clone()),
            _ => self.serve_object(method, path, body, caller, now),
        }
    }

    /// Objects beside pods; the strangers among them that some runs have.
    fn list(&mut self, path: &Path, caller: &Caller, now: Timestamp) -> Value {
        let resource = &path.resource;
        let objects = self.objects.iter().filter(|((of, _), _)| of == resource);
        let mut items: Vec<_> = objects.map(|(_, object)| object.clone()).collect();
        if self.faults.hindered && resource == "horizontalpodautoscalers" {
            let target = json!({"kind": "Deployment", "name": format!("{NAME}-worker")});
            items.push(json!({"metadata": {"name": "stranger"}, "spec": {"maxReplicas": 9, "scaleTargetRef": target}}));
        }
        let policies = resource == "networkpolicies";
        if policies
            && (self.meddler.seen(&caller.holder, path.from_cache, now) || self.faults.hindered)
        {
            items.push(json!({"metadata": {"name": "stranger"}, "spec": {"podSelector": {}}}));
        }
        json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
    }

    fn label_pod(
        &mut self,
        path: &Path,
        body: &Value,
        caller: &Caller,
        now: Timestamp,
    ) -> (StatusCode, Value) {
        let Some(live) = self.pods.get_mut(&path.name) else {
            return failure(StatusCode::NOT_FOUND, "NotFound");
        };
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        let metadata = &mut live.pod.metadata;
        let changed = text("/metadata/resourceVersion")
            .is_some_and(|seen| metadata.resource_version.as_deref() != Some(seen));
        if changed || text("/metadata/uid") != metadata.uid.as_deref() {
            return failure(StatusCode::CONFLICT, "Conflict");
        }
        let labels = body
            .pointer("/metadata/labels")
            .cloned()
            .unwrap_or_default();
        let labels: BTreeMap<String, String> = serde_json::from_value(labels).unwrap_or_default();
        metadata.labels.get_or_insert_default().extend(labels);
        let (uid, event) = (
            metadata.uid.clone().unwrap_or_default(),
            labelled(&live.pod),
        );
        let object = serde_json::to_value(&live.pod).unwrap_or_default();
        let lease = self.lease();
        self.promises
            .marks(&caller.holder, lease.as_ref(), &uid, event, now);
        if self.meddler.comes(self.faults.meddles, now) {
            let what = "another NetworkPolicy selects all pods";
            self.history.tell(now, what.to_owned());
        }
        let name = path.name.clone();
        self.tell_pod(now, &name);
        (StatusCode::OK, object)
    }

    /// An event that is done to all of a component, or its being undone.
    fn change_deployment(
        &mut self,
        path: &Path,
        body: &Value,
        caller: &Caller,
        now: Timestamp,
    ) -> (StatusCode, Value) {
        let key = (path.resource.clone(), path.name.clone());
        let Some(mut object) = self.objects.get(&key).cloned() else {
            return failure(StatusCode::NOT_FOUND, "NotFound");
        };
        let same = |pointer: &str| {
            let asked = body.pointer(pointer);
            asked.is_none() || asked == object.pointer(pointer)
        };
        if !same("/metadata/resourceVersion") || !same("/metadata/uid") {
            return failure(StatusCode::CONFLICT, "Conflict");
        }
        let event = event_of(body.pointer("/metadata/annotations"));
        if event.is_none() && self.is_stuck() {
            return failure(StatusCode::FORBIDDEN, "Forbidden");
        }
        let uid = object
            .pointer("/metadata/uid")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let what = event.map_or_else(
            || "undoes".to_owned(),
            |event| format!("does event {event} to"),
        );
        self.history.tell(
            now,
            format!("{} {what} {} {}", caller.holder, path.name, body["spec"]),
        );
        match event {
            Some(_) => {
                let replicas = body.pointer("/spec/replicas").and_then(Value::as_u64);
                let blow = Blow::Component {
                    caller: &caller.holder,
                    replicas,
                };
                self.strike(&uid, "worker", false, blow, now);
            }
            None => self.undo(&caller.holder, now),
        }
        merge(&mut object, body);
        (StatusCode::OK, self.store(key, object, caller, now))
    }

    fn cut_off(
        &mut self,
        path: &Path,
        body: &Value,
        caller: &Caller,
        now: Timestamp,
    ) -> (StatusCode, Value) {
        let name = body
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let key = (path.resource.clone(), name.to_owned());
        if self.objects.contains_key(&key) {
            return failure(StatusCode::CONFLICT, "AlreadyExists");
        }
        let event = event_of(body.pointer("/metadata/labels"));
        self.history.tell(
            now,
            format!("{} cuts off whom event {event:?} is about", caller.holder),
        );
        if self.faults.hindered || self.meddler.is_overlooked(&caller.holder, path.sent, now) {
            let how = format!("for event {event:?}");
            self.promises.breaks("no policy beside another's", how);
        }
        let is_selected = |live: &&Live| labelled(&live.pod) == event && event.is_some();
        let selected: Vec<Live> = self.pods.values().filter(is_selected).cloned().collect();
        for live in selected {
            let caller = &caller.holder;
            self.strike_pod(&live, Blow::CutOff { caller }, now);
        }
        let mut object = body.clone();
        self.born += 1;
        object["metadata"]["uid"] = json!(format!("object-{}", self.born));
        let stored = self.store(key, object, caller, now);
        if !self.faults.unenforced {
            self.connect(event, false, now);
        }
        (StatusCode::CREATED, stored)
    }

    fn reconnect(&mut self, path: &Path, caller: &Caller, now: Timestamp) -> (StatusCode, Value) {
        let key = (path.resource.clone(), path.name.clone());
        if self.is_stuck() {
            return failure(StatusCode::FORBIDDEN, "Forbidden");
        }
        let Some(object) = self.objects.remove(&key) else {
            return failure(StatusCode::NOT_FOUND, "NotFound");
        };
        self.history
            .tell(now, format!("{} takes {} away", caller.holder, path.name));
        self.undo(&caller.holder, now);
        self.connect(event_of(object.pointer("/metadata/labels")), true, now);
        (StatusCode::OK, object)
    }

    fn is_stuck(&self) -> bool {
        self.faults.stuck && !self.calm
    }

    fn undo(&mut self, caller: &str, now: Timestamp) {
        let (lease, test) = (self.lease(), self.test());
        self.promises
            .undoes(caller, lease.as_ref(), test.as_deref(), now);
    }

    fn serve_pod(
        &mut self,
        method: &Method,
        path: &Path,
        body: &Value,
        caller: &Caller,
        now: Timestamp,
    ) -> (StatusCode, Value) {
        if path.name.is_empty() {
            return (StatusCode::OK, self.list_pods());
        }
        let evicts = path.subresource == "eviction";
        let takes = evicts || *method == Method::DELETE;
        let body = body.get("deleteOptions").filter(|_| evicts).unwrap_or(body);
        let asked = body.pointer("/preconditions/uid").and_then(Value::as_str);
        if takes {
            let does = if evicts { "evicts" } else { "deletes" };
            self.history.tell(
                now,
                format!(
                    "{} {does} {} ({})",
                    caller.holder,
                    path.name,
                    asked.unwrap_or("any")
                ),
            );
        }
        let Some(live) = self.pods.get(&path.name).cloned() else {
            return failure(StatusCode::NOT_FOUND, "NotFound");
        };
        let object = serde_json::to_value(&live.pod).unwrap_or_default();
        if !takes {
            return (StatusCode::OK, object);
        }
        let uid = live.pod.metadata.uid.clone().unwrap_or_default();
        let seen = body
            .pointer("/preconditions/resourceVersion")
            .and_then(Value::as_str);
        let changed =
            seen.is_some_and(|seen| Some(seen) != live.pod.metadata.resource_version.as_deref());
        if changed || asked.is_some_and(|asked| asked != uid) {
            return failure(StatusCode::CONFLICT, "Conflict");
        }
        if evicts && !self.calm && self.dice.chance(self.faults.over_budget) {
            return over_budget();
        }
        let blow = Blow::Pod {
            sure: asked.is_some(),
            caller: &caller.holder,
        };
        self.strike_pod(&live, blow, now);
        let grace = body.get("gracePeriodSeconds").and_then(Value::as_i64);
        self.terminate(now, &path.name, grace.unwrap_or(10));
        (StatusCode::OK, object)
    }

    fn serve_object(
        &mut self,
        method: &Method,
        path: &Path,
        body: &Value,
        caller: &Caller,
        now: Timestamp,
    ) -> (StatusCode, Value) {
        let name = if path.name.is_empty() {
            body.pointer("/metadata/name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        } else {
            path.name.clone()
        };
        let key = (path.resource.clone(), name);
        if key.1 == "leader" {
            let holder = self.leads().map(|name| format!("{name}_1"));
            let lease = json!({"metadata": {"name": "leader"}, "spec": {"holderIdentity": holder}});
            return (StatusCode::OK, lease);
        }
        let stored = self.objects.get(&key).cloned();
        let version = |object: &Value| {
            object
                .pointer("/metadata/resourceVersion")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let stale = stored.as_ref().is_some_and(|stored| {
            version(body).is_some_and(|asked| Some(asked) != version(stored))
        });
        let new = match (method.as_str(), stored) {
            // Server-side apply of an object that is there changes nothing: it is as it is to be.
            (method, Some(object))
                if method == "GET"
                    || method == "PATCH"
                        && path.resource != "configmaps"
                        && !path.is_status()
                        && !stale =>
            {
                return (StatusCode::OK, object);
            }
            ("PATCH", None) if path.resource == "configmaps" => {
                return failure(StatusCode::NOT_FOUND, "NotFound");
            }
            ("GET" | "PUT" | "DELETE", None) => return failure(StatusCode::NOT_FOUND, "NotFound"),
            ("POST", Some(_)) => return failure(StatusCode::CONFLICT, "AlreadyExists"),
            ("PUT" | "PATCH", Some(_)) if stale => {
                return failure(StatusCode::CONFLICT, "Conflict");
            }
            ("DELETE", Some(mut object)) => {
                self.changed = true;
                if path.resource == "deployments" {
                    object["metadata"]["deletionTimestamp"] = json!(now.to_string());
                    self.objects.insert(key, object.clone());
                } else {
                    self.objects.remove(&key);
                }
                return (StatusCode::OK, object);
            }
            ("PATCH", Some(mut object)) if path.resource == "configmaps" => {
                merge(&mut object, body);
                object
            }
            ("PATCH", Some(mut object)) => {
                merge(
                    &mut object["status"],
                    body.get("status").unwrap_or(&Value::Null),
                );
                object
            }
            ("PATCH", None) if path.is_status() => {
                return failure(StatusCode::NOT_FOUND, "NotFound");
            }
            _ => {
                let mut object = body.clone();
                let uid = object.pointer("/metadata/uid").cloned();
                self.born += 1;
                let fresh = json!(format!("object-{}", self.born));
                object["metadata"]["uid"] = uid.unwrap_or(fresh);
                object
            }
        };
        (StatusCode::OK, self.store(key, new, caller, now))
    }

    fn store(
        &mut self,
        key: (String, String),
        mut object: Value,
        caller: &Caller,
        now: Timestamp,
    ) -> Value {
        let version = self.next_version();
        object["metadata"]["resourceVersion"] = json!(version);
        let (resource, name) = (key.0.clone(), key.1.clone());
        self.objects.insert(key, object.clone());
        match resource.as_str() {
            "deployments" => self.changed = true,
            "soaktests" if name == NAME => {
                self.tell_test(now);
                if let Some(test) = self.test() {
                    let in_force = self.in_force(&test);
                    let line = self.promises.recorded(&test, &in_force, now);
                    self.history
                        .tell(now, format!("{} writes: {line}", caller.holder));
                }
            }
            "leases" => {
                let holder = object
                    .pointer("/spec/holderIdentity")
                    .and_then(Value::as_str);
                self.promises.led(&caller.holder, holder, now);
            }
            _ => {}
        }
        object
    }

    /// Creates or changes a SoakTest as a user does.
    pub(super) fn user_writes(&mut self, change: impl FnOnce(&mut Value), now: Timestamp) {
        let key = ("soaktests".to_owned(), NAME.to_owned());
        let mut object = self
            .objects
            .get(&key)
            .cloned()
            .unwrap_or_else(|| json!({"metadata": {}}));
        change(&mut object);
        let generation = object
            .pointer("/metadata/generation")
            .and_then(Value::as_i64);
        object["metadata"]["generation"] = json!(generation.unwrap_or(0) + 1);
        object["metadata"]["resourceVersion"] = json!(self.next_version());
        self.objects.insert(key, object);
        self.tell_test(now);
    }

    /// Deletes the SoakTest as a user does; nothing holds it.
    pub(super) fn user_deletes(&mut self, now: Timestamp) {
        self.objects
            .remove(&("soaktests".to_owned(), NAME.to_owned()));
        self.tell_test(now);
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}
