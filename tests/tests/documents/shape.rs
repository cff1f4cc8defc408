//! What of a line must be the same whenever it is printed: its words, fields and columns, and in each column the form of the value, without
//! the value itself.

use serde_json::Value;

/// What of lines is compared.
#[derive(Clone, Copy, Debug)]
pub enum Comparison {
    /// So many words of each.
    Words(usize),
    /// All words of each, with those of the indented lines below it, in any order, but for how an owner is known.
    Facts,
}

/// The shape of a line: of a JSON object its keys with the types of their values, of text its words with the forms of the values in them, as many
/// words as count. A line without values, a heading say, is its own shape: its words stand in the same columns.
fn of(line: &str, words: usize) -> String {
    if let Ok(value @ Value::Object(_)) = serde_json::from_str(line) {
        return typed(&value);
    }
    let all: Vec<String> = line.split_whitespace().map(form).collect();
    if all.iter().zip(line.split_whitespace()).all(|(form, word)| form == word) {
        // How many digits the numbers of processes have differs from machine to machine, and with them the room before this heading.
        return match line.split_once(" pid") {
            Some((before, after)) => format!("{} pid{}", before.trim_end(), after.trim_end()),
            None => line.trim_end().to_owned(),
        };
    }
    all.into_iter().take(words).collect::<Vec<_>>().join(" ")
}

/// The shapes of what lines say, each line with those below it that are indented.
fn facts(lines: &[String]) -> Vec<String> {
    const HOW: [&str; 5] = ["owner", "created", "accepted", "inherited", "scanned"];
    let mut records: Vec<Vec<String>> = Vec::new();
    for line in lines {
        let words = line.split_whitespace().filter(|word| !HOW.contains(word)).map(form);
        match records.last_mut().filter(|_| line.starts_with(' ')) {
            Some(record) => record.extend(words),
            None => records.push(words.collect()),
        }
    }
    let sorted = records.into_iter().map(|mut words| {
        // The longest word may be abbreviated.
        words.iter_mut().filter(|word| *word == "est").for_each(|word| *word = "established".into());
        // Whether a comma stands behind a value depends on what follows it.
        words.iter_mut().for_each(|word| word.truncate(word.trim_end_matches(',').len()));
        words.sort();
        words.join(" ")
    });
    sorted.collect()
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

/// What lines have that others lack, and the other way round, and whether they come in another order where there is one; empty where both have the
/// same shapes as often.
pub fn difference(documented: &[String], printed: &[String], comparison: Comparison, ordered: bool) -> String {
    let shapes = |lines: &[String]| match comparison {
        Comparison::Words(words) => lines.iter().map(|line| of(line, words)).collect(),
        Comparison::Facts => facts(lines),
    };
    let (old, new): (Vec<String>, Vec<String>) = (shapes(documented), shapes(printed));
    let mut out = String::new();
    for (these, those, what) in
        [(&old, &new, "in the document, not printed"), (&new, &old, "printed, not in the document")]
    {
        let mut left = those.clone();
        for shape in these {
            match left.iter().position(|other| other == shape) {
                Some(at) => drop(left.swap_remove(at)),
                None => out.push_str(&format!("  {what}: {shape}\n")),
            }
        }
    }
    if out.is_empty() && ordered && old != new {
        out = format!("  printed in another order: {}\n", new.join(" / "));
    }
    out
}

/// How lines begin that are documented and not printed, of what differs from machine to machine: the first word, of JSON the first key with its value.
pub fn other_beginnings(documented: &[String], printed: &[String]) -> String {
    let begins = |line: &String| match line.starts_with('{') {
        true => line.split(',').next().unwrap_or_default().to_owned(),
        // The verdicts of doctor.
        false => match line.split(' ').next().unwrap_or_default() {
            "All" | "Nothing" | "Something" => "VERDICT".to_owned(),
            word => word.to_owned(),
        },
    };
    let printed: Vec<String> = printed.iter().map(begins).collect();
    let missing = documented.iter().map(begins).filter(|beginning| !printed.contains(beginning));
    missing.map(|beginning| format!("  in the document, no line begins so: {beginning}\n")).collect()
}

/// Tested where the suite begins: a comparison that finds nothing would be none.
pub fn tells_apart() {
    let all = Comparison::Words(usize::MAX);
    let same = |a: &str, b: &str| difference(&[a.to_owned()], &[b.to_owned()], all, true).is_empty();
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let same_lines = |a: &[&str], b: &[&str], how, ordered| difference(&lines(a), &lines(b), how, ordered).is_empty();
    // Repeats count, and the order where there is one.
    assert!(!same_lines(&["tcp 1", "tcp 2"], &["tcp 1"], all, false));
    assert!(!same_lines(&["tcp 1", "udp 2"], &["udp 1", "tcp 2"], all, true));
    assert!(same_lines(&["tcp 1", "udp 2"], &["udp 1", "tcp 2"], all, false));
    // Headings stand above their columns, and a mark below its place.
    assert!(
        !same("local  state", "local   state") && !same("  ^^^^", " ^^^^") && same("Proto  State  ", "Proto  State")
    );
    assert!(same("local   pid  peer", "local pid  peer") && !same("local   pid  peer", "local   pid peer"));
    // What does not fit a terminal moves to another line.
    let (one, two) = (
        &["1 tcp closed 3us, rx 5 7/web", "  connect 8us, est 9ms owner created"],
        &["2 tcp closed 3us, connect 8us", "  established 9ms rx 5 12/web"],
    );
    assert!(same_lines(one, two, Comparison::Facts, false) && !same_lines(one, &two[..1], Comparison::Facts, false));
    let other = |a: &str, b: &str| !other_beginnings(&lines(&[a]), &lines(&["tracing: x=y", b])).is_empty();
    assert!(other("agent: serving", "netstat-user: no") && !other("agent: serving", "agent: on"));
    assert!(
        other(r#"{"kind":"hook","#, r#"{"kind":"check","a":1}"#)
            && !other(r#"{"kind":"hook","…"#, r#"{"kind":"hook","a":1}"#)
    );
    assert!(!other("All is well", "Nothing essential") && other("All is well", ""));
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
