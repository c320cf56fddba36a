//! Where in a query something is wrong.
//!
//! The parser says so of no error: the place is found by parsing beginnings of the query, of which the schema allows no
//! more than 1024.

use promql_parser::parser;

/// What the parser says of a sequence of words that makes no sense.
pub(super) const NO_SENSE: &str = "invalid promql query";

/// The place as people count, and what stands there.
pub(super) fn shown(query: &str, at: usize) -> String {
    const MOST: usize = 24;
    let before = &query[..at];
    let line = before.lines().count().max(1) + usize::from(before.ends_with('\n'));
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let rest = one_line(&query[at..]);
    let mut excerpt: String = rest.chars().take(MOST).collect();
    if rest.chars().count() > MOST {
        excerpt.push_str("...");
    }
    match line {
        1 => format!("at column {column}, `{excerpt}`"),
        _ => format!("at line {line}, column {column}, `{excerpt}`"),
    }
}

/// A query may have several lines, and what is told of it is one.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where in a query an error of the parser stands, in bytes.
pub(super) fn place(query: &str, problem: &str) -> Option<usize> {
    let is_open = ["unclosed", "unterminated", "unexpected end of input inside"];
    if is_open.iter().any(|start| problem.starts_with(start)) {
        return left_open(query).last().map(|(_, at)| *at);
    }
    if let Some(number) = problem.strip_prefix("bad number or duration syntax: ") {
        return only(query, number);
    }
    if problem.starts_with("unexpected character") || problem.starts_with("unexpected right") {
        // The last character of the shortest beginning that has the error already.
        let mut places = query.char_indices();
        let has_it = |(at, c): &(usize, char)| {
            let beginning = &query[..at + c.len_utf8()];
            parser::parse(beginning).err().as_deref() == Some(problem)
        };
        return places.find(has_it).map(|(at, _)| at);
    }
    let (_, called) = problem.split_once("call to ")?;
    only(query, called.split('\'').nth(1)?)
}

/// Where a text stands, in bytes, if it stands there once.
pub(super) fn only(query: &str, text: &str) -> Option<usize> {
    let mut found = query.match_indices(text).map(|(at, _)| at);
    found.next().filter(|_| found.next().is_none())
}

/// What a query that is cut off anywhere may go on with.
const REST: [&str; 16] = [
    "", "x", "(x)", "x)", "(a) (x)", "a) (x)", ") (x)", "(1) x", "[5m]", "5m", "5m]", "]", "}",
    "\"a\"}", "=\"a\"}", "a=\"a\"}",
];

/// Up to where, in bytes, it could be the beginning of a query that makes sense.
pub(super) fn longest_that_can_go_on(query: &str) -> usize {
    let makes_sense = |text: &str| {
        parser::lexer(text).is_ok() && parser::parse(text).err().as_deref() != Some(NO_SENSE)
    };
    let goes_on = |end: &usize| {
        let before = &query[..*end];
        REST.iter().any(|rest| {
            let text = format!("{before} {rest}");
            let open = left_open(&text)
                .into_iter()
                .filter(|(opener, _)| *opener == '(');
            let close = ")".repeat(open.count());
            makes_sense(&format!("{text}{close}"))
        })
    };
    ends(query).rev().find(goes_on).unwrap_or(0)
}

/// The ends of all beginnings of a query that split no word, in bytes.
fn ends(query: &str) -> impl DoubleEndedIterator<Item = usize> {
    let in_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_:.".contains(c));
    let splits = move |end: &usize| {
        in_word(query[..*end].chars().next_back()) && in_word(query[*end..].chars().next())
    };
    let all = query.char_indices().map(|(at, _)| at);
    all.chain([query.len()]).filter(move |end| !splits(end))
}

/// What is open at the end, parentheses, brackets, braces and quotes, and where, in bytes. What stands between quotes or
/// in a comment opens nothing.
pub(super) fn left_open(query: &str) -> Vec<(char, usize)> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let (mut hidden, mut comment) = (false, false);
    for (at, c) in query.char_indices() {
        let innermost = open.last().map(|(opener, _)| *opener);
        match (innermost, c) {
            _ if comment => comment = !matches!(c, '\r' | '\n'),
            (Some('"' | '\'' | '`'), _) if hidden => hidden = false,
            (Some('"' | '\''), '\\') => hidden = true,
            (Some(quote @ ('"' | '\'' | '`')), _) if c == quote => {
                open.pop();
            }
            (Some('"' | '\'' | '`'), _) => {}
            (_, '#') => comment = true,
            (_, '"' | '\'' | '`' | '(' | '[' | '{') => open.push((c, at)),
            (Some('('), ')') | (Some('['), ']') | (Some('{'), '}') => {
                open.pop();
            }
            _ => {}
        }
    }
    open
}

pub(super) fn last_word(text: &str) -> &str {
    let text = text.trim_end();
    let start = text.rfind(|c: char| !(c.is_alphanumeric() || c == '_'));
    start.map_or(text, |start| {
        text[start..].trim_start_matches(|c: char| !(c.is_alphanumeric() || c == '_'))
    })
}
