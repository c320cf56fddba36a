//! Keys that an object in YAML has twice. Which of the two was meant nobody knows; the rest of the file can be looked at all
//! the same.

use crate::node::{Content, Node, Place};

/// A key that an object has already.
#[derive(Debug)]
pub(crate) struct Repeated {
    pub(crate) at: Place,
    /// Where it stands first.
    pub(crate) first: Place,
    /// Such as `spec.warmUp`.
    pub(crate) field: String,
}

/// Takes all but the first of several keys of one name out of a document.
pub(crate) fn taken_from(document: &mut Node) -> Vec<Repeated> {
    let mut repeated = Vec::new();
    take(document, "", &mut repeated);
    repeated
}

fn take(node: &mut Node, path: &str, repeated: &mut Vec<Repeated>) {
    match &mut node.content {
        Content::Scalar(_) => {}
        Content::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                take(item, &format!("{path}[{index}]"), repeated);
            }
        }
        Content::Object(fields) => {
            let mut kept: Vec<(String, Place, Node)> = Vec::with_capacity(fields.len());
            for (key, at, mut value) in std::mem::take(fields) {
                let field = format!("{path}.{key}");
                let field = field.trim_start_matches('.');
                let before = kept.iter().find(|(other, ..)| *other == key);
                if let Some(first) = before.map(|(_, first, _)| *first) {
                    let field = field.to_owned();
                    repeated.push(Repeated { at, first, field });
                } else {
                    take(&mut value, field, repeated);
                    kept.push((key, at, value));
                }
            }
            *fields = kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::document::documents_and_repeated;

    #[test]
    fn of_keys_of_one_name_the_first_is_kept_and_the_others_are_told() {
        let text = "a: 1\nb:\n  - {c: 2, c: 3, d: 4}\na: {e: 5, e: 6}\n---\na: 7\n";
        let (documents, repeated) = documents_and_repeated(text).expect("YAML");
        assert_eq!(documents.len(), 2);
        assert_eq!(
            documents[0].to_json(),
            serde_json::json!({"a": 1, "b": [{"c": 2, "d": 4}]})
        );
        let told: Vec<_> = repeated
            .iter()
            .map(|one| (one.field.as_str(), one.at.line, one.first.line))
            .collect();
        assert_eq!(told, [("b[0].c", 3, 3), ("a", 4, 1)]);
    }
}
