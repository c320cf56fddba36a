//! The CEL rules of the CRD, as the API server would hold an object to them that is created.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use cel::extractors::This;
use cel::objects::{Key, Map, Opaque};
use cel::{Context, ExecutionError, Program, Value as Cel};
use serde_json::Value;
use soak_verdict::quantity_value;

use super::culprit;
use super::finding::Finding;
use crate::node::Node;

/// The rules of a schema, compiled.
pub(super) struct Rules {
    schema: Value,
    programs: BTreeMap<String, Program>,
}

/// One rule of the schema.
struct Rule<'s> {
    rule: &'s str,
    message: &'s str,
}

impl Rules {
    /// Compiles every rule of the schema.
    pub(super) fn of(schema: &Value) -> anyhow::Result<Self> {
        let mut programs = BTreeMap::new();
        for rule in all(schema) {
            let program = Program::compile(rule.rule)
                .map_err(|problem| anyhow!("{problem}"))
                .with_context(|| format!("failed to compile the rule {}", rule.rule))?;
            programs.insert(rule.rule.to_owned(), program);
        }
        Ok(Self {
            schema: schema.clone(),
            programs,
        })
    }

    /// What breaks a rule. Rules about values that are to be changed, since `known` has a problem with them, are passed
    /// over.
    pub(super) fn check(&self, object: &Value, document: &Node, known: &[Finding]) -> Vec<Finding> {
        let mut findings = Vec::new();
        walk(&self.schema, object, "", &mut |path, rule, value| {
            if known.iter().any(|finding| concerns(finding, path, rule)) {
                return;
            }
            let problem = match self.holds(rule.rule, value, None) {
                Some(Ok(true)) | None => return,
                Some(Ok(false)) => rule.message.to_owned(),
                Some(Err(problem)) => problem,
            };
            let holds = |value: &Value| self.holds(rule.rule, value, None) == Some(Ok(true));
            let mut culprits = culprit::in_list(path, value, &problem, holds);
            culprits.extend(culprit::wrong_name(path, value, &problem));
            if culprits.is_empty() {
                findings.push(whole(path, problem, document));
            }
            let culprits = culprits.into_iter();
            findings.extend(culprits.map(|one| Finding::error(document, one.field, one.problem)));
        });
        findings
    }

    /// Whether the rule holds for a value, once `old` was there before; `None` for a rule about changes where nothing
    /// was.
    fn holds(
        &self,
        rule: &str,
        value: &Value,
        old: Option<&Value>,
    ) -> Option<Result<bool, String>> {
        if rule.contains("oldSelf") && old.is_none() {
            return None;
        }
        let program = self.programs.get(rule)?;
        let mut context = Context::default();
        let evaluated = with_functions(&mut context)
            .map_err(|problem| problem.to_string())
            .and_then(|()| {
                context.add_variable_from_value("self", to_cel(value));
                if let Some(old) = old {
                    context.add_variable_from_value("oldSelf", to_cel(old));
                }
                program
                    .execute(&context)
                    .map_err(|problem| problem.to_string())
            });
        Some(match evaluated {
            Ok(Cel::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("the rule {rule} gives {other:?}")),
            Err(problem) => Err(format!("the rule {rule} cannot be worked out: {problem}")),
        })
    }
}

/// What is told where nothing is known but what the rule is about.
fn whole(path: &str, problem: String, document: &Node) -> Finding {
    match named_in(&problem).filter(|field| field.starts_with(path)) {
        // The message begins with the field.
        Some(field) => Finding {
            at: document.place_of(field),
            ..Finding::error(document, "", problem.clone())
        },
        None => Finding::error(document, path, problem),
    }
}

/// Calls `visit` for each rule with the value that it is about.
fn walk(schema: &Value, value: &Value, path: &str, visit: &mut dyn FnMut(&str, &Rule<'_>, &Value)) {
    for rule in own(schema) {
        visit(path, &rule, value);
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let inner = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                walk(&schema["properties"][name], value, &inner, visit);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&schema["items"], item, &format!("{path}[{index}]"), visit);
            }
        }
        _ => {}
    }
}

/// Whether the rule, about what stands at `path`, may be broken because of that problem alone.
fn concerns(finding: &Finding, path: &str, rule: &Rule<'_>) -> bool {
    let Some(inside) = finding.field.strip_prefix(path) else {
        return false;
    };
    let inside = inside.trim_start_matches('.');
    match inside.find(['.', '[']) {
        Some(end) => rule.rule.contains(&format!("self.{}", &inside[..end])),
        // A name that is not known may be a slip of the pen in one that the rule is about.
        None => true,
    }
}

/// The rules that a schema has at its top.
fn own(schema: &Value) -> impl Iterator<Item = Rule<'_>> {
    let rules = schema
        .get("x-kubernetes-validations")
        .and_then(Value::as_array);
    rules.into_iter().flatten().filter_map(|rule| {
        let text = |name: &str| rule.get(name).and_then(Value::as_str);
        Some(Rule {
            rule: text("rule")?,
            message: text("message").unwrap_or_default(),
        })
    })
}

/// The rules of a schema and of everything in it.
fn all(schema: &Value) -> Vec<Rule<'_>> {
    let inner = schema.get("properties").and_then(Value::as_object);
    let inner = inner.into_iter().flat_map(serde_json::Map::values);
    let inner = inner.chain(schema.get("items"));
    own(schema).chain(inner.flat_map(all)).collect()
}

/// The field that a message begins with, such as `spec.chaos.interval.min`.
fn named_in(message: &str) -> Option<&str> {
    let end = message
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
        .unwrap_or(message.len());
    let field = message[..end].trim_end_matches('.');
    let known = field.starts_with("spec.") || field.starts_with("metadata.");
    known.then_some(field)
}

/// Whole numbers are int in the API server, whatever their sign.
fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Cel::Int(whole),
            None => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| (Key::from(name.as_str()), to_cel(value)));
            Cel::Map(Map {
                map: Arc::new(fields.collect()),
            })
        }
    }
}

/// The functions that Kubernetes adds to CEL, of those that the rules use. A test shows that there are enough.
fn with_functions(context: &mut Context<'_, '_>) -> Result<(), cel::DeclarationError> {
    context.add_function("isURL", |text: Arc<String>| absolute(&text).is_some())?;
    context.add_function("url", |text: Arc<String>| {
        let url = absolute(&text)
            .ok_or_else(|| ExecutionError::function_error("url", "this is no URL"))?;
        Ok::<Cel, ExecutionError>(Cel::Opaque(Arc::new(Address(url))))
    })?;
    context.add_function("getScheme", |This(url): This<Cel>| {
        address(&url, "getScheme").map(|url| text(url.scheme()))
    })?;
    context.add_function("getHostname", |This(url): This<Cel>| {
        address(&url, "getHostname").map(|url| text(url.host_str().unwrap_or_default()))
    })?;
    context.add_function("isQuantity", |text: Arc<String>| {
        quantity_value(&text).is_some()
    })?;
    // As a number it compares as it should.
    context.add_function("quantity", |text: Arc<String>| {
        quantity_value(&text)
            .ok_or_else(|| ExecutionError::function_error("quantity", "this is no quantity"))
    })?;
    context.add_function("isLessThan", |This(one): This<f64>, other: f64| one < other)
}

fn text(text: &str) -> Cel {
    Cel::String(Arc::new(text.to_owned()))
}

/// A URL inside an expression.
#[derive(Debug, PartialEq, Eq)]
struct Address(url::Url);

impl Opaque for Address {
    fn runtime_type_name(&self) -> &'static str {
        "kubernetes.URL"
    }
}

fn absolute(text: &str) -> Option<url::Url> {
    url::Url::parse(text).ok()
}

fn address(value: &Cel, function: &str) -> Result<url::Url, ExecutionError> {
    let found = match value {
        Cel::Opaque(opaque) => opaque.downcast_ref::<Address>(),
        _ => None,
    };
    found
        .map(|address| address.0.clone())
        .ok_or_else(|| ExecutionError::function_error(function, "this is no URL"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lint::{crd_schema, schema};

    /// SoakTests that between them set every field that any rule is about, and break none.
    const FULL: [&str; 2] = [
        include_str!("../../tests/lint/good/full.yaml"),
        include_str!("../../tests/lint/good/existing.yaml"),
    ];

    fn full() -> (Rules, [Value; 2]) {
        let crd = crd_schema();
        let objects = FULL.map(|text| {
            let object: Value = serde_saphyr::from_str(text).expect("YAML");
            schema::with_defaults(&crd, &object)
        });
        (Rules::of(&crd).expect("rules"), objects)
    }

    #[test]
    fn every_rule_of_the_crd_is_worked_out_without_a_cluster() {
        let (rules, objects) = full();
        let crd = crd_schema();
        let known: BTreeSet<String> = all(&crd).iter().map(|rule| rule.rule.to_owned()).collect();
        assert!(known.len() > 40, "{} rules", known.len());
        let mut seen = BTreeSet::new();
        for object in &objects {
            walk(&crd, object, "", &mut |path, rule, value| {
                let held = rules.holds(rule.rule, value, Some(value));
                assert_eq!(held, Some(Ok(true)), "{path}: {}", rule.rule);
                seen.insert(rule.rule.to_owned());
            });
        }
        let missed: Vec<_> = known.difference(&seen).collect();
        assert!(missed.is_empty(), "not worked out: {missed:#?}");
    }

    #[test]
    fn a_rule_about_a_change_tells_one_from_none() {
        let (rules, [object, _]) = full();
        let mut changed = object["spec"].clone();
        changed["seed"] = serde_json::json!(7);
        let crd = crd_schema();
        let broken: Vec<_> = own(&crd["properties"]["spec"])
            .filter(|rule| {
                rules.holds(rule.rule, &changed, Some(&object["spec"])) != Some(Ok(true))
            })
            .map(|rule| rule.message)
            .collect();
        assert_eq!(broken.len(), 1, "{broken:?}");
        assert!(broken[0].starts_with("spec.seed is fixed"), "{broken:?}");
    }

    #[test]
    fn urls_and_quantities_are_read_as_kubernetes_reads_them() {
        let holds = |rule: &str, value: Value| {
            let schema = serde_json::json!({"x-kubernetes-validations": [{"rule": rule}]});
            let rules = Rules::of(&schema).expect("a rule");
            rules.holds(rule, &value, None)
        };
        let url = "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''";
        assert_eq!(holds(url, "http://prometheus:9090".into()), Some(Ok(true)));
        assert_eq!(holds(url, "prometheus:9090".into()), Some(Ok(false)));
        assert_eq!(holds(url, "ftp://prometheus".into()), Some(Ok(false)));
        let quantity = "isQuantity(self) && !quantity(self).isLessThan(quantity('0'))";
        assert_eq!(holds(quantity, "40Mi".into()), Some(Ok(true)));
        assert_eq!(holds(quantity, "1e3".into()), Some(Ok(true)));
        assert_eq!(holds(quantity, "-1".into()), Some(Ok(false)));
        assert_eq!(
            holds("url(self).getScheme() == ''", "/x".into()).map(|held| held.is_err()),
            Some(true)
        );
        assert_eq!(holds("type(self) == int", 5.into()), Some(Ok(true)));
    }

    #[test]
    fn a_rule_waits_for_what_it_is_about_and_for_nothing_else() {
        let document = &crate::document::documents("spec: {}").expect("YAML")[0];
        let about = Rule {
            rule: "self.duration != self.metrics.step",
            message: "",
        };
        let concerned =
            |field: &str| concerns(&Finding::error(document, field, ""), "spec", &about);
        assert!(concerned("spec.duration"));
        assert!(concerned("spec.metrics.step"));
        assert!(concerned("spec.duratoin"));
        assert!(concerned("spec"));
        assert!(!concerned("spec.chaos.events[0].weight"));
        assert!(!concerned("metadata.labls"));
    }

    #[test]
    fn a_message_names_its_field_where_it_begins_with_it() {
        assert_eq!(
            named_in("spec.chaos.interval.min must be"),
            Some("spec.chaos.interval.min")
        );
        assert_eq!(named_in("spec.criteria: health"), Some("spec.criteria"));
        assert_eq!(named_in("set exactly one of spec.a"), None);
    }
}
