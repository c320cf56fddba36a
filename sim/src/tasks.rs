//! Every task of a process, by component: nothing in this crate is spawned anywhere else, which
//! clippy.toml sees to.
//!
//! A task that nobody knows of cannot be found when it leaks, so [`Tasks::spawn`] asks for the
//! component it belongs to, counts it for as long as its future exists, and keeps its name.
//! [`Component`] is the only way to start one: starting twice gives one task, and stopping waits
//! until the task is gone.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The registry of tasks alive in this process; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    gauge: Family<Label, Gauge>,
    alive: Mutex<Alive>,
}

#[derive(Debug, Default)]
struct Alive {
    next: u64,
    names: BTreeMap<u64, (&'static str, String)>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Label {
    component: &'static str,
}

impl Tasks {
    /// An empty registry whose gauge is served as `soak_sim_tasks_alive{component}`.
    pub fn new(registry: &mut Registry) -> Self {
        let tasks = Self::default();
        registry.register(
            "soak_sim_tasks_alive",
            "Tasks that exist right now, by the component that started them",
            tasks.shared.gauge.clone(),
        );
        tasks
    }

    /// Tasks of one component that exist right now.
    pub fn alive(&self, component: &str) -> usize {
        let alive = self.lock();
        alive
            .names
            .values()
            .filter(|(of, _)| *of == component)
            .count()
    }

    /// Tasks of all components that exist right now.
    pub fn total(&self) -> usize {
        self.lock().names.len()
    }

    /// `component/name` of every task that exists right now, in the order they were started.
    pub fn names(&self) -> Vec<String> {
        let alive = self.lock();
        alive
            .names
            .values()
            .map(|(of, name)| format!("{of}/{name}"))
            .collect()
    }

    /// A component of this process: its series exists with 0 from now on.
    pub fn component(&self, name: &'static str) -> Component {
        drop(self.shared.gauge.get_or_create(&Label { component: name }));
        Component {
            name,
            tasks: self.clone(),
            running: tokio::sync::Mutex::new(None),
        }
    }

    /// Starts a task that nobody can tell to end: what [`Component`] exists to prevent, for leak
    /// modes only.
    pub(crate) fn let_go<F>(&self, component: &'static str, name: String, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.spawn(component, name, work));
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that counts it")]
    fn spawn<F>(&self, component: &'static str, name: String, work: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let counted = self.enter(component, name);
        tokio::spawn(async move {
            let _counted = counted;
            work.await;
        })
    }

    fn enter(&self, component: &'static str, name: String) -> Counted {
        let mut alive = self.lock();
        let id = alive.next;
        alive.next += 1;
        alive.names.insert(id, (component, name));
        self.shared.gauge.get_or_create(&Label { component }).inc();
        Counted {
            id,
            component,
            tasks: self.clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Alive> {
        self.shared
            .alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one task for as long as its future exists, however it ends.
struct Counted {
    id: u64,
    component: &'static str,
    tasks: Tasks,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tasks.lock().names.remove(&self.id);
        self.tasks
            .shared
            .gauge
            .get_or_create(&Label {
                component: self.component,
            })
            .dec();
    }
}

/// One task of a named component: absent or running, never twice.
#[derive(Debug)]
pub struct Component {
    name: &'static str,
    tasks: Tasks,
    // Held over the whole of a stop, so that a start cannot slip in beside a task that is ending.
    running: tokio::sync::Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Component {
    /// Starts the task unless it is running already; true if this call started it.
    ///
    /// `work` receives the token that [`Component::stop`] cancels, and must return soon after.
    pub async fn start<W, F>(&self, task: impl Into<String>, work: W) -> bool
    where
        W: FnOnce(CancellationToken) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut running = self.running.lock().await;
        if running
            .as_ref()
            .is_some_and(|running| !running.task.is_finished())
        {
            return false;
        }
        let stop = CancellationToken::new();
        let task = self.tasks.spawn(self.name, task.into(), work(stop.clone()));
        *running = Some(Running { stop, task });
        true
    }

    /// Tells the task to end and waits until it has; does nothing if there is none.
    pub async fn stop(&self) {
        let mut running = self.running.lock().await;
        if let Some(running) = running.as_mut() {
            running.stop.cancel();
            // An error means that the task panicked or was aborted: it is gone either way.
            let _ = (&mut running.task).await;
        }
        *running = None;
    }
}

impl Drop for Component {
    /// Whoever forgets to stop a component does not orphan its task.
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().take() {
            running.stop.cancel();
            running.task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn idle(stop: CancellationToken) {
        stop.cancelled().await;
    }

    #[tokio::test]
    async fn a_single_start_is_one_task() {
        let tasks = Tasks::default();
        let component = tasks.component("chaos");
        assert!(component.start("one", idle).await);
        assert_eq!(tasks.alive("chaos"), 1);
        assert_eq!(tasks.names(), ["chaos/one"]);
        component.stop().await;
    }

    #[tokio::test]
    async fn three_starts_are_one_task() {
        let tasks = Tasks::default();
        let component = tasks.component("chaos");
        assert!(component.start("one", idle).await);
        assert!(!component.start("two", idle).await);
        assert!(!component.start("three", idle).await);
        assert_eq!(tasks.alive("chaos"), 1);
        component.stop().await;
        assert_eq!(tasks.alive("chaos"), 0);
    }

    #[tokio::test]
    async fn a_component_that_is_not_started_has_no_task_but_a_series() {
        let mut registry = Registry::default();
        let tasks = Tasks::new(&mut registry);
        let component = tasks.component("chaos");
        component.stop().await;
        assert_eq!(tasks.total(), 0);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        assert!(
            text.contains("soak_sim_tasks_alive{component=\"chaos\"} 0"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn stopping_waits_until_every_task_is_gone() {
        let tasks = Tasks::default();
        let components: Vec<_> = (0..20).map(|_| tasks.component("consume")).collect();
        for (n, component) in components.iter().enumerate() {
            component.start(format!("p-{n}"), idle).await;
        }
        assert_eq!(tasks.total(), 20);
        for component in &components {
            component.stop().await;
        }
        assert_eq!(tasks.names(), Vec::<String>::new());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[expect(clippy::disallowed_methods, reason = "what the storm is made of")]
    async fn a_restart_storm_returns_to_base() {
        let tasks = Tasks::default();
        let component = Arc::new(tasks.component("consume"));
        component.start("p-0", idle).await;
        let storm: Vec<_> = (0..8)
            .map(|_| {
                let component = Arc::clone(&component);
                tokio::spawn(async move {
                    for _ in 0..50 {
                        component.stop().await;
                        component.start("p-0", idle).await;
                    }
                })
            })
            .collect();
        for one in storm {
            one.await.expect("the storm ends");
        }
        assert_eq!(tasks.alive("consume"), 1);
        component.stop().await;
        assert_eq!(tasks.total(), 0);
    }

    #[tokio::test]
    async fn a_task_that_ended_by_itself_can_be_started_again() {
        let tasks = Tasks::default();
        let component = tasks.component("consume");
        component.start("short", |_| async {}).await;
        while tasks.total() > 0 {
            tokio::task::yield_now().await;
        }
        while !component.start("again", idle).await {
            tokio::task::yield_now().await;
        }
        assert_eq!(tasks.names(), ["consume/again"]);
        component.stop().await;
    }

    #[tokio::test]
    async fn a_component_that_is_dropped_takes_its_task_along() {
        let tasks = Tasks::default();
        let component = tasks.component("consume");
        component.start("p-0", |_| std::future::pending()).await;
        drop(component);
        while tasks.total() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_task_that_was_let_go_stays_counted_under_its_component() {
        let tasks = Tasks::default();
        let component = tasks.component("consume");
        tasks.let_go("consume", "orphan".into(), std::future::pending());
        assert!(component.start("p-0", idle).await);
        component.stop().await;
        assert_eq!(tasks.names(), ["consume/orphan"]);
    }
}
