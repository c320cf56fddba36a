//! YAML in which every field knows its line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// Where something stands in a file, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) content: Content,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Neither a list nor an object.
    Scalar(Value),
    List(Vec<Node>),
    /// In the order of the file; each key knows its place as well.
    Object(Vec<(String, Place, Node)>),
}

/// Where a file begins.
pub(crate) const START: Place = Place { line: 1, column: 1 };

impl Node {
    /// A value that stands nowhere in particular.
    pub(crate) fn placeless(value: &Value) -> Self {
        let content = match value {
            Value::Array(items) => Content::List(items.iter().map(Self::placeless).collect()),
            Value::Object(fields) => {
                let fields = fields.iter();
                let fields =
                    fields.map(|(name, value)| (name.clone(), START, Self::placeless(value)));
                Content::Object(fields.collect())
            }
            scalar => Content::Scalar(scalar.clone()),
        };
        Self { at: START, content }
    }

    /// The value of a field of an object.
    pub(crate) fn field(&self, name: &str) -> Option<&Node> {
        match &self.content {
            Content::Object(fields) => fields
                .iter()
                .find_map(|(key, _, value)| (key == name).then_some(value)),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Where the field of that path stands, such as `spec.criteria[2].growth`; of what is not there, the innermost part
    /// that is. A field's place is that of its name.
    pub(crate) fn place_of(&self, path: &str) -> Place {
        let (mut node, mut at) = (self, self.at);
        for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
            let next = match &node.content {
                Content::Object(fields) => fields
                    .iter()
                    .find(|(key, ..)| key == part)
                    .map(|(_, place, value)| (*place, value)),
                Content::List(items) => part
                    .strip_suffix(']')
                    .and_then(|index| items.get(index.parse::<usize>().ok()?))
                    .map(|item| (item.at, item)),
                Content::Scalar(_) => None,
            };
            let Some((place, value)) = next else { break };
            (node, at) = (value, place);
        }
        at
    }

    /// The same without places.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Object(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(key, _, value)| (key.clone(), value.to_json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self {
            at: place(&spanned),
            content: spanned.value,
        })
    }
}

fn place<T>(spanned: &Spanned<T>) -> Place {
    Place {
        line: spanned.referenced.line(),
        column: spanned.referenced.column(),
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyContent)
    }
}

struct AnyContent;

impl<'de> Visitor<'de> for AnyContent {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    // JSON has no number for what is not finite: as text it is of the wrong type wherever a number is due.
    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).map(Value::Number);
        Ok(Content::Scalar(
            number.unwrap_or_else(|| value.to_string().into()),
        ))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut fields = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Node>()? {
            let at = place(&key);
            fields.push((key.value, at, value));
        }
        Ok(Content::Object(fields))
    }
}
