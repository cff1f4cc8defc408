//! What of a line must be the same whenever it is printed: its words, fields and columns, and in each column the form of the value, without
//! the value itself.

use serde_json::Value;
use std::collections::BTreeSet;

/// The shape of a line: of a JSON object its keys with the types of their values, of text its words with the forms of the values in them, as many
/// words as count.
pub fn of(line: &str, words: usize) -> String {
    if let Ok(value @ Value::Object(_)) = serde_json::from_str(line) {
        return typed(&value);
    }
    line.split_whitespace().take(words).map(form).collect::<Vec<_>>().join(" ")
}

fn typed(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let inner: Vec<String> = object.iter().map(|(key, value)| format!("{key}:{}", typed(value))).collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Array(values) => format!("[{}]", values.first().map(typed).unwrap_or_default()),
        Value::Null => "null".into(),
        Value::Bool(_) => "BOOL".into(),
        Value::Number(_) => "N".into(),
        Value::String(_) => "TEXT".into(),
    }
}

/// Units behind numbers, and what they make of them. `1m00s` is a span, too.
const UNITS: [(&[&str], &str); 2] =
    [(&["ns", "us", "ms", "s", "m", "h", "d"], "SPAN"), (&["K", "M", "G", "T"], "SIZE")];

/// A word with the forms of the values in it: `60.8ms` and `1m02s` are spans, `4.7K` is a size, `812` a number, `12.05` one with decimals,
/// `127.0.0.1:8080` an address and a number. How much of a process's name fits beside its number depends on the number: `812/client` and
/// `27734/cl~` are `N/NAME`.
fn form(word: &str) -> String {
    let bare = word.trim_end_matches(',');
    for (units, name) in UNITS {
        if has_units(bare, units) {
            return format!("{name}{}", &word[bare.len()..]);
        }
    }
    let mut out = String::new();
    let mut rest = word;
    while let Some(letter) = rest.chars().next() {
        if !letter.is_ascii_digit() {
            out.push(letter);
            rest = &rest[letter.len_utf8()..];
            continue;
        }
        let (number, behind) = digits(rest);
        rest = behind;
        out.push_str(match number.matches('.').count() {
            0 => "N",
            1 => "N.N",
            _ => "ADDRESS",
        });
    }
    if out.starts_with("N/") { "N/NAME".into() } else { out }
}

/// The digits and points that a text begins with, and what stands behind them.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len()))
}

/// Whether a word consists of numbers with one of these units each.
fn has_units(mut word: &str, units: &[&str]) -> bool {
    let mut any = false;
    while !word.is_empty() {
        let (number, rest) = digits(word);
        let (unit, rest) = rest.split_at(rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len()));
        if number.is_empty() || !units.contains(&unit) {
            return false;
        }
        (any, word) = (true, rest);
    }
    any
}

/// What lines have that others lack in their first words, and the other way round; empty where both have the same shapes.
pub fn difference(documented: &[String], printed: &[String], words: usize) -> String {
    let shapes = |lines: &[String]| -> BTreeSet<String> { lines.iter().map(|line| of(line, words)).collect() };
    let (old, new) = (shapes(documented), shapes(printed));
    let lacking = old.difference(&new).map(|shape| format!("  in the document, not printed: {shape}\n"));
    let more = new.difference(&old).map(|shape| format!("  printed, not in the document: {shape}\n"));
    lacking.chain(more).collect()
}

/// Tested where the suite begins: a comparison that finds nothing would be none.
pub fn tells_apart() {
    let same = |a: &str, b: &str| difference(&[a.to_owned()], &[b.to_owned()], usize::MAX).is_empty();
    assert!(same("tcp 0 0 127.0.0.1:80", "tcp  12   0   10.0.0.1:8080"));
    assert!(same("closed 60.8ms, rx 4.8K", "closed 1m02s, rx 3.1M"));
    assert!(same(r#"{"a":1,"b":{"c":"x"}}"#, r#"{"a":2,"b":{"c":"y"}}"#));
    assert!(same("open 812/client created", "open 27734/cl~ created"));
    assert!(same("22:18:53.304591 open", "01:02:03.000001 open"));
    assert!(!same("tcp LISTEN", "tcp CLOSE"));
    assert!(!same("a b", "a b c"));
    assert!(!same(r#"{"a":1}"#, r#"{"a":1,"b":2}"#));
    // The same words, and values of another form.
    for (a, b) in [
        ("client closed 51001630", "client closed 51.0ms"),
        ("rx 4900", "rx 4.7K"),
        ("rx 4.7K", "rx 4.7s"),
        ("timer 12", "timer 12.05"),
        ("127.0.0.1", "2130706433"),
        ("127.0.0.1", "127.0.0.1:80"),
        ("127.0.0.1:80", "localhost:http"),
        ("10:53:19", "10.53"),
        ("812/client", "812"),
        ("812", "-"),
        (r#"{"a":1}"#, r#"{"a":"1"}"#),
        (r#"{"a":1}"#, r#"{"a":null}"#),
        (r#"{"a":[1]}"#, r#"{"a":["x"]}"#),
    ] {
        assert!(!same(a, b), "{a} and {b}");
    }
}
