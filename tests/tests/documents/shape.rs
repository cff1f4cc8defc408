//! What of a line must be the same whenever it is printed: its words, fields and columns, without their values.

use serde_json::Value;
use std::collections::BTreeSet;

/// The shape of a line: of a JSON object its keys, of text its words without numbers, as many as count.
pub fn of(line: &str, words: usize) -> String {
    if let Ok(value @ Value::Object(_)) = serde_json::from_str(line) {
        return keys(&value);
    }
    line.split_whitespace().take(words).map(word).collect::<Vec<_>>().join(" ")
}

fn keys(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let inner: Vec<String> = object.iter().map(|(key, value)| format!("{key}:{}", keys(value))).collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Array(values) => format!("[{}]", values.first().map(keys).unwrap_or_default()),
        _ => "_".into(),
    }
}

/// `127.0.0.1:8080` and `127.0.0.1:40094` are `0:0`, `60.8ms` and `1.2s` are `0`. How much of a process's name fits beside its number depends
/// on the number: `812/client` and `27734/cl~` are `0/_`.
fn word(word: &str) -> String {
    let mut out = String::new();
    let mut letters = word.chars().peekable();
    while let Some(letter) = letters.next() {
        if !letter.is_ascii_digit() {
            out.push(letter);
            continue;
        }
        while letters.next_if(|letter| letter.is_ascii_digit() || *letter == '.').is_some() {}
        out.push('0');
    }
    if out.starts_with("0/") {
        return "0/_".into();
    }
    for unit in ["ns", "us", "ms", "s", "m", "h", "d", "K", "M", "G"] {
        if let Some(number) = out.strip_suffix(unit).or_else(|| out.strip_suffix(',')?.strip_suffix(unit))
            && number == "0"
        {
            return if out.ends_with(',') { "0,".into() } else { "0".into() };
        }
    }
    out
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
    assert!(same("closed 60.8ms, rx 4.8K", "closed 1.2s, rx 3"));
    assert!(same(r#"{"a":1,"b":{"c":null}}"#, r#"{"a":"x","b":{"c":2}}"#));
    assert!(same("open 812/client created", "open 27734/cl~ created"));
    assert!(!same("tcp LISTEN", "tcp CLOSE"));
    assert!(!same("a b", "a b c"));
    assert!(!same(r#"{"a":1}"#, r#"{"a":1,"b":2}"#));
}
