//! Quantities as the API server reads them.

/// The number, or `None` where the text is no quantity: a number with a suffix of the thousands, of the powers of 1024, or
/// with an exponent.
pub(super) fn value(text: &str) -> Option<f64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (number, suffix) = match text.find(['e', 'E']) {
        // 1e3 and 1E3 are exponents, 1E is a suffix.
        Some(at) if text[at + 1..].parse::<i32>().is_ok() => return plain(text),
        _ => (number, &text[number.len()..]),
    };
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024_f64,
        "Mi" => 1024_f64.powi(2),
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        _ => return None,
    };
    Some(plain(number)? * factor)
}

/// Rust reads `inf` and `nan` as numbers as well.
fn plain(number: &str) -> Option<f64> {
    let digits = number.trim_start_matches(['+', '-']);
    let begins = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    number.parse().ok().filter(|_| begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_what_the_api_server_takes_for_them() {
        for (text, expected) in [
            ("300", 300.0),
            ("40Mi", 41_943_040.0),
            ("1.5G", 1.5e9),
            ("-5", -5.0),
            ("1e3", 1e3),
            ("2E", 2e18),
            ("2Ei", 2.0 * 1024_f64.powi(6)),
            (".5", 0.5),
            ("500m", 0.5),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        for text in [
            "", "Mi", "5Q", "1.2.3", "NaN", "inf", "5 Mi", "5ki", "1e", "--1",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
    }
}
