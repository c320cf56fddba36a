//! `kubectl soak init`: a SoakTest to start with, for a Deployment that is there.

mod found;
mod runtime;

use std::fmt::Write;

use anyhow::bail;
use soak_api::{COMPONENT, SOAK_TEST};

use self::found::{Found, Metrics};
use crate::cluster;

/// Write a SoakTest to start with for a Deployment, by looking at it and at one of its pods
///
/// It is written to standard output, and nothing is changed. Each line that was a choice says what it rests on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Deployment's name
    #[arg(value_parser = cluster::deployment_name)]
    deployment: String,

    /// What the SoakTest is to be called; as the Deployment where left out
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    cluster: cluster::Args,
}

/// The longest name of a SoakTest.
const LONGEST_NAME: usize = 40;

/// The longest name of a Deployment that a SoakTest can be about, and the most pods of it.
const LONGEST_COMPONENT: usize = 63;
const MOST_REPLICAS: u32 = 500;

/// How long pods are given to reach their steady state where nobody knows, in minutes: the API's own default.
const WARM_UP: u32 = 10;

/// The SoakTest in YAML.
pub(crate) async fn run(args: &Args) -> anyhow::Result<String> {
    let deployment = args.deployment.as_str();
    let name = args.name.as_deref().unwrap_or(deployment);
    if !is_name(name, LONGEST_NAME) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        bail!(
            "{name} cannot be the name of a SoakTest: give one with --name, of at most {LONGEST_NAME} lower case letters, digits and dashes, starting with a letter"
        );
    }
    if !is_name(deployment, LONGEST_COMPONENT) {
        bail!(
            "a SoakTest cannot be about Deployment {deployment}: its name has to be of at most {LONGEST_COMPONENT} lower case letters, digits and dashes"
        );
    }
    let cluster = args.cluster.open().await?;
    let found = found::find(&cluster, deployment).await?;
    if found.replicas == 0 {
        bail!(
            "Deployment {} has no pods: scale it first, so that one of them can be looked at",
            found.name
        );
    }
    if found.replicas > MOST_REPLICAS {
        bail!(
            "Deployment {} has {} pods, and a SoakTest can be about {MOST_REPLICAS} at most",
            found.name,
            found.replicas
        );
    }
    Ok(written(name, &found, &cluster.flags))
}

fn is_name(name: &str, longest: usize) -> bool {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = name.starts_with('-') || name.ends_with('-');
    !name.is_empty() && name.len() <= longest && name.chars().all(known) && !ends
}

/// A name as YAML takes it for one: some look like numbers or like yes and no.
fn scalar(name: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && !WORDS.contains(&name) {
        name.to_owned()
    } else {
        format!("\"{name}\"")
    }
}

fn written(soak: &str, found: &Found, flags: &str) -> String {
    let Found {
        name,
        namespace,
        replicas,
        ..
    } = found;
    let mut text = format!(
        "# A soak of Deployment {name}, as kubectl soak init found it. Read it, change it, and save it as {soak}.yaml:\n\
         #   kubectl soak lint -f {soak}.yaml\n\
         #   kubectl soak run -f {soak}.yaml --wait{flags}\n"
    );
    for line in remarks(soak, found, flags) {
        let _ = writeln!(text, "#\n# {line}");
    }
    let (name, namespace) = (scalar(name), scalar(namespace));
    let (min, max) = pause(*replicas);
    let _ = write!(
        text,
        "apiVersion: soak-operator.io/v1alpha1\n\
         kind: SoakTest\n\
         metadata:\n\
         \x20 name: {}\n\
         \x20 namespace: {namespace}\n\
         spec:\n\
         \x20 warmUp: {WARM_UP}m  # how long a pod takes to its steady state: caches are full, pools have grown\n\
         \x20 duration: 6h # what is judged; a slow leak takes longer to tell from noise\n\
         \x20 workload:\n\
         \x20   existing:\n\
         \x20     deployments:\n\
         \x20       - {{name: {name}, replicas: {replicas}}}\n\
         \x20     cooldown: 30s # how long work still moves between pods once all are ready again after a kill\n\
         \x20 chaos:\n\
         \x20   interval: {{min: {min}m, max: {max}m}} # so that a pod lives for some {} minutes\n",
        scalar(soak),
        4 * WARM_UP
    );
    if *replicas == 1 {
        text += "    guard: {minReadyPercent: 0} # its only pod is away for a while at each kill\n";
    }
    let _ = write!(
        text,
        "\x20   events:\n\
         \x20     - podKill: {{component: {name}}}\n\
         \x20 metrics:\n\
         \x20   step: 15s # how often Prometheus scrapes the pods; where that is much less often, the data are too few\n\
         \x20 criteria: # beside health: no restart, no OOM kill, no pod gone but by chaos\n"
    );
    for line in criteria(found) {
        let _ = writeln!(text, "    {line}");
    }
    text
}

/// What has to be known or done beforehand.
fn remarks(soak: &str, found: &Found, flags: &str) -> Vec<String> {
    let name = &found.name;
    let mut remarks = Vec::new();
    let agrees = [(SOAK_TEST, soak), (COMPONENT, name)]
        .iter()
        .all(|(label, value)| {
            found
                .labels
                .contains(&((*label).to_owned(), (*value).to_owned()))
        });
    if !agrees {
        remarks.push(format!(
            "Its pods have to agree to be hit, by two labels. This gives them those, and rolls them out once:\n\
             #   kubectl patch deployment {name}{flags} --type merge -p '{{\"spec\":{{\"template\":{{\"metadata\":{{\"labels\":{{\"{SOAK_TEST}\":\"{soak}\",\"{COMPONENT}\":\"{name}\"}}}}}}}}}}'"
        ));
    }
    if let Some(autoscaler) = &found.autoscaler {
        remarks.push(format!(
            "HorizontalPodAutoscaler {autoscaler} scales it. A pod that it takes away fails the soak, since chaos did not: let its\n\
             # minReplicas and maxReplicas be {} meanwhile.",
            found.replicas
        ));
    }
    match &found.metrics {
        Ok(metrics) if !metrics.named => remarks.push(format!(
            "Its metrics are at {}. Prometheus has to scrape them there, with the labels namespace and pod; the one that\n\
             # comes with the operator scrapes ports that are named metrics.",
            metrics.place
        )),
        Ok(_) => {}
        Err(problem) => remarks.push(format!(
            "Nothing is known of its metrics, and the criteria are a guess: {}.\n\
             # Prometheus has to scrape its pods themselves, or the soak cannot pass: see docs/existing.md.",
            problem.replace(char::is_control, " ")
        )),
    }
    remarks
}

/// The shortest and the longest pause between two kills in minutes: a pod lives for four times its warm-up on average, and
/// half of that at least has to be measured.
fn pause(replicas: u32) -> (u32, u32) {
    let mean = (4 * WARM_UP).div_ceil(replicas).max(2);
    ((mean * 3 / 4).max(1), (mean * 5).div_ceil(4))
}

fn criteria(found: &Found) -> Vec<String> {
    let mut lines = Vec::new();
    // Where there are others, each may have the same metrics.
    let of = if found.sidecars {
        format!("{{container=\"{}\"}}", found.container)
    } else {
        String::new()
    };
    let query = |metric: &str| match of.as_str() {
        "" => format!("query: {metric}"),
        of => format!("query: '{metric}{of}'"),
    };
    let mut add = |name: &str, what: String, why: &str| {
        lines.extend([format!("- name: {name}"), format!("  {what} # {why}")]);
    };
    let metrics = found.metrics.as_ref().ok();
    let names = metrics.map(|Metrics { names, .. }| names);
    if let Some(runtime) = names.and_then(runtime::of) {
        let tasks = runtime.tasks;
        let what = format!("growth: {{{}, maxPercent: 5}}", query(tasks.metric));
        add(
            tasks.name,
            what,
            &format!("what {} runs at once", runtime.name),
        );
    }
    let memory = match names.and_then(runtime::memory) {
        Some(runtime::RESIDENT) if !found.sidecars => "signal: Memory".to_owned(),
        Some(metric) => query(metric),
        // Kubelets measure it, whatever the process tells.
        None => format!(
            "query: 'container_memory_working_set_bytes{{container=\"{}\"}}'",
            found.container
        ),
    };
    let (limit, why) = memory_growth(found);
    add("memory", format!("growth: {{{memory}, {limit}}}"), &why);
    if names.is_some_and(|names| names.contains(runtime::FILES.metric)) {
        let files = runtime::FILES;
        let what = format!("growth: {{{}, maxPercent: 10}}", query(files.metric));
        add(files.name, what, "files, sockets and pipes");
    }
    let slowest = "recovery: {max: 2m, percentile: 100}".to_owned();
    add(
        "recovery",
        slowest,
        "all pods are ready again, at the slowest",
    );
    lines
}

/// How much memory may grow, and why so much.
fn memory_growth(found: &Found) -> (String, String) {
    const MIB: f64 = 1_048_576.0;
    match &found.memory_limit {
        Some((written, bytes)) => {
            let of_all = (bytes * f64::from(found.replicas) / 10.0 / MIB)
                .floor()
                .max(1.0);
            let whose = match found.replicas {
                1 => "its pod".to_owned(),
                replicas => format!("its {replicas} pods"),
            };
            (
                format!("maxAbsolute: {of_all}Mi"),
                format!("in all, a tenth of the limit of {written} of {whose}"),
            )
        }
        None => (
            "maxPercent: 10".to_owned(),
            "it has no limit of memory".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint;

    fn found(replicas: u32, metrics: Result<&str, &str>) -> Found {
        let metrics = metrics.map(|text| Metrics {
            container: "cart".to_owned(),
            place: "9090/metrics".to_owned(),
            named: true,
            names: runtime::names(text),
        });
        Found {
            name: "cart".to_owned(),
            namespace: "shop".to_owned(),
            replicas,
            container: "cart".to_owned(),
            sidecars: false,
            memory_limit: Some(("256Mi".to_owned(), 268_435_456.0)),
            labels: [(SOAK_TEST.to_owned(), "cart".to_owned())].into(),
            autoscaler: None,
            metrics: metrics.map_err(str::to_owned),
        }
    }

    const GO: &str =
        "go_goroutines 31\nprocess_resident_memory_bytes 4.7e+07\nprocess_open_fds 9\n";

    #[test]
    fn a_go_program_with_a_limit_is_written_with_what_it_rests_on() {
        insta::assert_snapshot!(written("cart", &found(3, Ok(GO)), " -n shop"));
    }

    #[test]
    fn of_a_pod_that_tells_nothing_the_guess_is_called_one() {
        let mut found = found(1, Err("pod cart-1 names no port"));
        found.memory_limit = None;
        found.autoscaler = Some("cart-by-cpu".to_owned());
        insta::assert_snapshot!(written("friday", &found, " -n shop"));
    }

    #[test]
    fn what_is_written_has_nothing_that_lint_would_change() {
        for replicas in [1, 2, 3, 7, 100] {
            for metrics in [
                Ok(GO),
                Ok("jvm_threads_live_threads 3\njvm_memory_used_bytes{area=\"heap\"} 4\n"),
                Ok("http_requests_total 3\n"),
                Err("none of its pods is ready"),
            ] {
                for sidecars in [false, true] {
                    let found = Found {
                        sidecars,
                        ..found(replicas, metrics)
                    };
                    let text = written("cart", &found, " -n shop");
                    assert_eq!(lint::found(&text), Vec::<String>::new(), "{text}");
                }
            }
        }
    }

    #[test]
    fn names_that_look_like_something_else_stay_names() {
        for name in ["2024", "on", "null", "1e3", "cart"] {
            let found = Found {
                name: name.to_owned(),
                namespace: name.to_owned(),
                ..found(3, Ok(GO))
            };
            let text = written("friday", &found, "");
            assert_eq!(lint::found(&text), Vec::<String>::new(), "{text}");
            let soak: soak_api::SoakTest = serde_saphyr::from_str(&text).expect("a SoakTest");
            assert_eq!(soak.metadata.namespace.as_deref(), Some(name));
            let existing = soak.spec.workload.existing.expect("existing");
            assert_eq!(existing.deployments[0].name, name);
        }
    }

    #[test]
    fn what_a_pod_says_does_not_end_the_comment_that_it_is_told_in() {
        let found = found(3, Err("pod cart-1 tells none: a\nspec: {}"));
        let text = written("cart", &found, "");
        assert!(text.contains("# Nothing is known of its metrics"), "{text}");
        assert!(!text.contains("\nspec: {}"), "{text}");
    }

    #[test]
    fn of_several_containers_the_one_that_has_the_metrics_is_named() {
        let found = Found {
            sidecars: true,
            ..found(3, Ok(GO))
        };
        let text = written("cart", &found, "");
        assert!(
            text.contains("query: 'go_goroutines{container=\"cart\"}'"),
            "{text}"
        );
        assert!(!text.contains("signal: Memory"), "{text}");
    }

    #[test]
    fn pods_that_agree_already_need_no_patch() {
        let mut found = found(3, Ok(GO));
        let patch = |found: &Found| written("cart", found, "").contains("kubectl patch");
        assert!(patch(&found), "one of the labels is missing");
        found
            .labels
            .insert((COMPONENT.to_owned(), "cart".to_owned()));
        assert!(!patch(&found));
    }
}
