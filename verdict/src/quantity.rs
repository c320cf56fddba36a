//! Quantities as the API server reads them: a number with a suffix of the thousands, of the powers of 1024, or with an
//! exponent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of tasks, bytes or anything else as Kubernetes writes quantities, and not negative: `300`, `"40Mi"`, `"1.5G"`,
/// `"1e3"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    text: String,
    value: f64,
}

impl Quantity {
    /// The number, in the unit of what it is held against.
    pub fn value(&self) -> f64 {
        self.value
    }
}

/// The number that the API server reads, negative ones too, or `None` where it refuses the text as a quantity.
///
/// It is the nearest float: what Kubernetes rounds up to a billionth or caps at 2^63 is left as it is, and what no float
/// holds is the greatest of them.
pub fn quantity_value(text: &str) -> Option<f64> {
    if text.is_empty() {
        return None;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, rest) = digits(unsigned);
    let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
    // Without a digit the API server reads 0, but refuses the greatest powers and the smallest exponents.
    let no_digit = whole.is_empty() && fraction.is_empty();
    // One decimal text, so that it is rounded once.
    let decimal = |exponent: i64| {
        let text = format!("0{whole}.{fraction}0e{exponent}");
        text.parse::<f64>().ok()
    };
    let binary = |power: i32| Some(decimal(0)? * 1024_f64.powi(power));
    let size = match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Pi" | "Ei" if no_digit => None,
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => match suffix.strip_prefix(['e', 'E'])?.parse().ok()? {
            ..-9 if no_digit => None,
            exponent => decimal(exponent),
        },
    };
    let size = size?.min(f64::MAX);
    Some(if text.starts_with('-') { -size } else { size })
}

/// The digits that a text begins with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value = quantity_value(text).ok_or_else(|| {
            format!(
                "{text:?} is not a quantity: use a number with an optional suffix, such as 300 or 40Mi"
            )
        })?;
        if value < 0.0 {
            return Err(format!(
                "{text:?} is negative: use a number that is not negative, such as 300 or 40Mi"
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            value,
        })
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a quantity is a whole number or a text, such as 300 or \"40Mi\""
)]
enum IntOrString {
    Int(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match IntOrString::deserialize(deserializer)? {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text.parse::<i64>() {
            Ok(number) if number.to_string() == self.text => serializer.serialize_i64(number),
            _ => serializer.serialize_str(&self.text),
        }
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 20,
            "x-kubernetes-validations": [{
                "rule": "type(self) == int ? int(self) >= 0 : isQuantity(string(self)) && !quantity(string(self)).isLessThan(quantity('0'))",
                "message": "use a number that is not negative, such as 300 or 40Mi"
            }]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `resource.ParseQuantity` of k8s.io/apimachinery 0.34.4 takes, and how much it takes it for.
    const TAKEN: [(&str, f64); 49] = [
        ("0", 0.0),
        ("-0", 0.0),
        ("300", 300.0),
        ("+300", 300.0),
        ("-5", -5.0),
        ("007", 7.0),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("1n", 1e-9),
        ("1u", 1e-6),
        ("500m", 0.5),
        ("1k", 1e3),
        ("1M", 1e6),
        ("1.5G", 1.5e9),
        ("1.G", 1e9),
        ("1T", 1e12),
        ("1P", 1e15),
        ("2E", 2e18),
        ("1Ki", 1024.0),
        ("0.5Ki", 512.0),
        ("40Mi", 41_943_040.0),
        ("-.5Mi", -524_288.0),
        ("1Gi", 1_073_741_824.0),
        ("1Ti", 1_099_511_627_776.0),
        ("1Pi", 1_125_899_906_842_624.0),
        ("2Ei", 2_305_843_009_213_693_952.0),
        ("1e3", 1e3),
        ("1E3", 1e3),
        ("1e+3", 1e3),
        ("1e-3", 1e-3),
        ("1e03", 1e3),
        ("1.5e3", 1.5e3),
        ("1.e3", 1e3),
        ("-1e3", -1e3),
        ("1E0", 1.0),
        ("99999999999999999999", 1e20),
        // Greater than any float.
        ("1e400", f64::MAX),
        // Without a digit.
        ("+", 0.0),
        ("-", 0.0),
        (".", 0.0),
        ("+.", 0.0),
        ("E", 0.0),
        ("e3", 0.0),
        (".e3", 0.0),
        ("e-9", 0.0),
        ("Mi", 0.0),
        ("-Mi", 0.0),
        ("000Ki", 0.0),
    ];

    /// What it refuses.
    const REFUSED: [&str; 38] = [
        "", " 5", "5 ", "5 Mi", "1K", "5ki", "1mi", "40MB", "5Q", "0Q", "0x", "0x10", "1i", "1e",
        "00e", "1e+", "1e++3", "1e1.5", "1e3k", "1e3Ki", "1Ki3", "1Mi0", "1Mi+", "1m3", "1Em",
        "1EE", "1.2.3", "1..2", "--1", "+-1", "1_000", "1,5", "NaN", "inf", "Pi", "-.Pi", "Ei",
        "e-10",
    ];

    #[test]
    fn quantities_are_what_the_api_server_takes_for_them() {
        for (text, expected) in TAKEN {
            assert_eq!(quantity_value(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_the_api_server_refuses_is_no_quantity() {
        for text in REFUSED.into_iter().chain(["\u{ff19}"]) {
            assert_eq!(quantity_value(text), None, "{text}");
            let problem = text.parse::<Quantity>().expect_err(text);
            assert!(problem.contains("is not a quantity: use"), "{problem}");
        }
    }

    #[test]
    fn a_limit_is_never_negative() {
        for json in ["-5", r#""-5""#, r#""-1e3""#, r#""-500m""#] {
            let problem = serde_json::from_str::<Quantity>(json).expect_err(json);
            assert!(
                problem.to_string().contains("is negative: use"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_quantity_is_read_as_a_number_or_as_text_and_written_back_alike() {
        for json in ["300", "0", r#""40Mi""#, r#""1e3""#, r#""+5""#, r#""007""#] {
            let quantity: Quantity = serde_json::from_str(json).expect("a quantity");
            assert_eq!(serde_json::to_string(&quantity).expect("JSON"), json);
        }
    }

    #[test]
    fn what_is_neither_a_whole_number_nor_text_says_how_to_write_one() {
        for json in ["1.5", "true", "[5]", "null"] {
            let problem = serde_json::from_str::<Quantity>(json).expect_err(json);
            let problem = problem.to_string();
            assert!(
                problem.contains("a whole number or a text, such as 300"),
                "{problem}"
            );
        }
    }

    /// Each suffix, and the factor that it stands for as a fraction of whole numbers.
    const SUFFIXES: [(&str, i128, i128); 19] = [
        ("n", 1, 1_000_000_000),
        ("u", 1, 1_000_000),
        ("m", 1, 1_000),
        ("", 1, 1),
        ("k", 1_000, 1),
        ("M", 1_000_000, 1),
        ("G", 1_000_000_000, 1),
        ("T", 1_000_000_000_000, 1),
        ("P", 1_000_000_000_000_000, 1),
        ("E", 1_000_000_000_000_000_000, 1),
        ("Ki", 1 << 10, 1),
        ("Mi", 1 << 20, 1),
        ("Gi", 1 << 30, 1),
        ("Ti", 1 << 40, 1),
        ("Pi", 1 << 50, 1),
        ("Ei", 1 << 60, 1),
        ("e3", 1_000, 1),
        ("e12", 1_000_000_000_000, 1),
        ("e-6", 1, 1_000_000),
    ];

    /// A whole number that a float holds.
    const WHOLE: i64 = 1 << 53;

    proptest! {
        #[test]
        fn what_is_written_canonical_parses_to_its_value(
            number in -WHOLE..=WHOLE,
            (suffix, times, over) in prop::sample::select(SUFFIXES.to_vec()),
        ) {
            let expected = (i128::from(number) * times) as f64 / over as f64;
            prop_assert_eq!(quantity_value(&format!("{number}{suffix}")), Some(expected));
        }

        #[test]
        fn any_text_is_a_quantity_or_none(text in "[-+.0-9eEinumkKMGTP]{0,8}|.{0,8}") {
            prop_assert!(quantity_value(&text).is_none_or(f64::is_finite));
        }
    }
}
