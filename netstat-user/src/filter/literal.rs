//! Values as they are written, and what they mean for a field.

use super::Op;
use super::host::{PatternError, is_decimal, is_odd};
use super::states::StateSet;
use crate::field::{Field, Unit, ValueKind, nearest};
use crate::model::Network;
use regex::bytes::{Regex, RegexBuilder};
use std::net::IpAddr;

/// A value as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// The text. A backslash in it takes what follows for a letter, or belongs to a regular expression.
    pub text: String,
    /// The bare word `null`: not known.
    pub null: bool,
}

impl Literal {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), null: false }
    }
}

/// What a value means for its field.
#[derive(Clone, Debug)]
pub(super) enum Meaning {
    /// Not known.
    Null,
    /// A number, in nanoseconds for spans of time.
    Number(u128),
    /// The name of a number, to be looked up.
    Name(String),
    /// An address.
    Addr(IpAddr),
    /// Addresses.
    Net(Network),
    /// One of these texts, byte by byte.
    Texts(Vec<Vec<u8>>),
    /// Texts of this form.
    Form(Box<Regex>),
}

/// Why a value is none for its field: what is expected, and the word that was probably meant.
pub(super) type Unfit = (String, Option<&'static str>);

/// What the value means for the field.
pub(super) fn meaning(field: Field, op: Op, literal: &Literal) -> Result<Meaning, Unfit> {
    let text = literal.text.as_str();
    if literal.null {
        return match op {
            Op::Eq | Op::Ne => Ok(Meaning::Null),
            other => Err((format!("expected `=' or `!=' before null, not `{}'", other.name()), None)),
        };
    }
    if matches!(op, Op::Match | Op::NoMatch) {
        return regex(text, false).map(Meaning::Form);
    }
    let name = field.name();
    let number = |what: &str, number: Option<u128>| {
        number.map(Meaning::Number).ok_or_else(|| (format!("expected {what} for `{name}', not `{text}'"), None))
    };
    match field.spec().kind {
        // ss takes a zero before a mark for an octal number.
        ValueKind::Number if field == Field::Fwmark => {
            number("a mark such as 10 or 0x1, and no octal one", mark(text).map(u128::from))
        }
        ValueKind::Number => number("a whole number", whole(text)),
        ValueKind::Bytes => number("bytes such as 1500, 4K, 1M or 2G", bytes(text)),
        ValueKind::Span(unit) => number("a time such as 500ms, 10s, 5m, 2h or 1d", span(text, unit)),
        ValueKind::Time => {
            let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| {
                let civil: jiff::civil::DateTime = text.parse().ok()?;
                Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
            });
            let since = instant.and_then(|instant| u128::try_from(instant.as_nanosecond()).ok());
            number("a time in UTC such as 2026-01-31T12:00:00Z", since)
        }
        ValueKind::Port => match whole(text) {
            Some(port) if port > 65_535 => Err((format!("expected a port from 0 to 65535, not `{text}'"), None)),
            Some(port) => Ok(Meaning::Number(port)),
            None => named(text, "a port or the name of a service"),
        },
        ValueKind::User => {
            whole(text).map_or_else(|| named(text, "a user's number or name"), |uid| Ok(Meaning::Number(uid)))
        }
        ValueKind::Namespace => whole(text).map_or_else(
            || named(text, "a namespace's inode number or name, or `self'"),
            |inode| Ok(Meaning::Number(inode)),
        ),
        ValueKind::Address => address(text, op),
        ValueKind::Text if op.orders() => Ok(Meaning::Texts(vec![plain(text)])),
        ValueKind::Text => Ok(match glob(text, false)? {
            Some(form) => Meaning::Form(form),
            None => Meaning::Texts(vec![kept(field, plain(text))]),
        }),
        ValueKind::Word(_) if op.orders() => {
            Err((format!("expected `=', `!=', `~' or `!~': words like `{name}' have no order"), None))
        }
        ValueKind::Word(words) => word(field, words, text),
    }
}

/// What the kernel keeps of a text: 15 bytes, of the name of a process (`TASK_COMM_LEN`).
fn kept(field: Field, mut text: Vec<u8>) -> Vec<u8> {
    if field.name().rsplit('.').next() == Some("comm") {
        text.truncate(15);
    }
    text
}

/// One word of few, in any case; `*` and `?` may stand for letters.
fn word(field: Field, words: &'static [&'static str], text: &str) -> Result<Meaning, Unfit> {
    if let Some(form) = glob(text, true)? {
        return Ok(Meaning::Form(form));
    }
    let text = String::from_utf8_lossy(&plain(text)).into_owned();
    let texts = |words: &[&str]| Ok(Meaning::Texts(words.iter().map(|word| word.as_bytes().to_vec()).collect()));
    let known = words.iter().copied().find(|known| known.eq_ignore_ascii_case(&text.replace('-', "_")));
    let has_states = matches!(field, Field::State | Field::OldState | Field::NewState);
    // What ss calls listening, netstat calls LISTEN, and LISTENING where it is a UNIX domain socket.
    match (known, StateSet::parse(&text).filter(|_| has_states)) {
        (Some("LISTENING"), _) => texts(&["LISTENING", "LISTEN"]),
        (Some(known), _) => texts(&[known]),
        (None, Some(states)) => match states.single() {
            Some(state) => texts(&[state.name()]),
            None => Err((format!("`{}' is a group of states: write `state {0}'", states.word), None)),
        },
        (None, None) => {
            let expected = format!("expected one of {} for `{}', not `{text}'", words.join(" "), field.name());
            Err((expected, nearest(&text, words.iter().copied())))
        }
    }
}

fn address(text: &str, op: Op) -> Result<Meaning, Unfit> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match Network::parse(bare) {
        Some(prefix) if !bare.contains('/') => Ok(Meaning::Addr(prefix.addr)),
        Some(prefix) if !op.orders() => Ok(Meaning::Net(prefix)),
        None if is_odd(bare) => Err((PatternError::Digits(text.to_owned()).to_string(), None)),
        Some(_) => Err((format!("expected one address after `{}': a network has no order", op.name()), None)),
        None => match glob(text, true)?.filter(|_| !op.orders()) {
            Some(form) => Ok(Meaning::Form(form)),
            None => Err((format!("expected an address such as 10.0.0.1, 10.0.0.0/8 or fe80::/10, not `{text}'"), None)),
        },
    }
}

fn named(text: &str, what: &str) -> Result<Meaning, Unfit> {
    let name = plain(text);
    let is_name = name.first().is_some_and(|first| !first.is_ascii_digit() && *first != b'-') && !name.contains(&b':');
    match String::from_utf8(name).ok().filter(|_| is_name) {
        Some(name) => Ok(Meaning::Name(name)),
        None => Err((format!("expected {what}, not `{text}'"), None)),
    }
}

/// A mark of packets, decimal or hexadecimal.
pub(super) fn mark(text: &str) -> Option<u32> {
    let number = if text.starts_with("0x") || is_decimal(text) { whole(text)? } else { return None };
    number.try_into().ok()
}

/// Digits, or hexadecimal digits behind `0x`.
fn whole(text: &str) -> Option<u128> {
    let number = match text.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok()?,
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
        _ => return None,
    };
    Some(number.into())
}

/// A number that may have decimals, times the unit that stands behind it; parts of one are left out.
fn scaled(text: &str, unit: impl Fn(&str) -> Option<u128>) -> Option<u128> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let unit = unit(suffix)?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 20 || decimals.len() > 15 || number.ends_with('.') || decimals.contains('.') {
        return None;
    }
    let decimals_of = 10u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let mantissa: u128 = format!("{whole}{decimals}").parse().ok()?;
    Some(mantissa.checked_mul(unit)? / decimals_of)
}

/// A number of bytes: `1500`, `4K`, `1.5M`, `2GiB`.
pub fn bytes(text: &str) -> Option<u128> {
    let alone = text.strip_suffix(['b', 'B']).and_then(whole);
    whole(text).or(alone).or_else(|| {
        scaled(text, |suffix| {
            let suffix = suffix.to_ascii_lowercase();
            let power = match suffix.strip_suffix("ib").or(suffix.strip_suffix('b')).unwrap_or(&suffix) {
                "k" => 1,
                "m" => 2,
                "g" => 3,
                "t" => 4,
                _ => return None,
            };
            Some(1024u128.pow(power))
        })
    })
}

/// Nanoseconds of a field's unit.
fn span(text: &str, unit: Unit) -> Option<u128> {
    nanoseconds(text, unit.shown_nanos())
}

/// A span of time: a number, which may have decimals, with `ns`, `us`, `ms`, `s`, `m`, `h` or `d` behind it, or several with ever smaller units
/// (`1h30m`, as spans are shown); or one without, for a unit of so many nanoseconds.
pub fn nanoseconds(text: &str, bare: u64) -> Option<u128> {
    let (mut sum, mut rest, mut larger) = (0u128, text, u128::MAX);
    loop {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let more = rest[digits..].find(|letter: char| letter.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let (part, after) = rest.split_at(more);
        let unit = match &part[digits..] {
            "" => Some(bare.into()).filter(|_| sum == 0 && larger == u128::MAX),
            "ns" => Some(1),
            "us" => Some(1_000),
            "ms" => Some(1_000_000),
            "s" => Some(1_000_000_000),
            "m" => Some(60_000_000_000),
            "h" => Some(3_600_000_000_000),
            "d" => Some(86_400_000_000_000),
            _ => None,
        };
        let unit = unit.filter(|&unit| unit < larger)?;
        sum = sum.checked_add(scaled(part, |_| Some(unit))?)?;
        if after.is_empty() {
            return Some(sum);
        }
        (rest, larger) = (after, unit);
    }
}

/// The bytes of a text, its backslashes taken away.
fn plain(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
    }
    out
}

/// The form that a text with `*` and `?` stands for; `None` where it has neither.
fn glob(text: &str, any_case: bool) -> Result<Option<Box<Regex>>, Unfit> {
    let (mut form, mut letters, mut has_signs) = (String::from("^"), text.chars(), false);
    while let Some(letter) = letters.next() {
        match letter {
            '*' => form.push_str("(?s-u:.*)"),
            '?' => form.push_str("(?:(?s:.)|(?s-u:.))"),
            '\\' => form.push_str(&regex::escape(&letters.next().unwrap_or('\\').to_string())),
            other => form.push_str(&regex::escape(&other.to_string())),
        }
        has_signs |= matches!(letter, '*' | '?');
    }
    form.push('$');
    if has_signs { regex(&form, any_case).map(Some) } else { Ok(None) }
}

fn regex(text: &str, any_case: bool) -> Result<Box<Regex>, Unfit> {
    RegexBuilder::new(text).case_insensitive(any_case).build().map(Box::new).map_err(|error| {
        let error = error.to_string();
        let reason = error.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or("it is too large");
        (format!("expected a regular expression: {reason}"), None)
    })
}

/// fnmatch(3) of ss for UNIX domain paths: `*`, `?`, `[…]`, whatever the case of letters.
pub(super) fn path_glob(text: &str) -> Result<Box<Regex>, Unfit> {
    let (mut form, mut letters) = (String::from("^"), text.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '*' => form.push_str("(?s-u:.*)"),
            '?' => form.push_str("(?:(?s:.)|(?s-u:.))"),
            '\\' => form.push_str(&regex::escape(&letters.next().unwrap_or('\\').to_string())),
            '[' => match class(&mut letters.clone()) {
                Some((class, length)) => {
                    form.push_str(&class);
                    letters.by_ref().take(length).for_each(drop);
                }
                None => form.push_str("\\["),
            },
            other => form.push_str(&regex::escape(&other.to_string())),
        }
    }
    form.push('$');
    regex(&form, true)
}

/// The letters between brackets, as a class of a regular expression, and how many they are with the closing bracket.
fn class(letters: &mut impl Iterator<Item = char>) -> Option<(String, usize)> {
    let (mut form, mut length) = (String::from("["), 0);
    loop {
        let letter = letters.next()?;
        length += 1;
        match (letter, length) {
            ('!' | '^', 1) => form.push('^'),
            (']', at) if at > 1 && form != "[^" => break,
            ('-', _) => form.push('-'),
            (other, _) => form.push_str(&regex::escape(&other.to_string())),
        }
    }
    form.push(']');
    Some((form, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        for (text, amount) in [
            ("0", Some(0)),
            ("4K", Some(4096)),
            ("1.5M", Some(1_572_864)),
            ("2GiB", Some(2 << 30)),
            ("0x10", Some(16)),
            ("7B", Some(7)),
            ("1kb", Some(1024)),
        ] {
            assert_eq!(bytes(text), amount, "{text}");
        }
        for text in ["", "K", "1.", ".5K", "4Q", "4Kbb", "1.5", "1.5B", "-1", "1.2.3K", "99999999999999999999999999G"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        for (text, unit, nanos) in [
            ("500ms", Unit::Nanos, 500_000_000),
            ("1.5s", Unit::Micros, 1_500_000_000),
            ("7", Unit::Micros, 7_000),
            ("1.25", Unit::Hundredths, 1_250_000_000),
            ("2h", Unit::Hundredths, 7_200_000_000_000),
            ("1d", Unit::Millis, 86_400_000_000_000),
            ("3m56s", Unit::Nanos, 236_000_000_000),
            ("1d2h3m4.5s", Unit::Millis, 93_784_500_000_000),
        ] {
            assert_eq!(span(text, unit), Some(nanos), "{text}");
        }
        for text in ["5x", "1m2m", "1s2m", "1m2", "1m.s", "m1s", "1h30"] {
            assert_eq!(span(text, Unit::Nanos), None, "{text}");
        }
    }

    #[test]
    fn globs_are_whole_texts_and_any_bytes() {
        let fits = |form: &str, text: &[u8]| glob(form, false).unwrap().unwrap().is_match(text);
        assert!(
            fits("ng*x", b"nginx")
                && fits("*", b"")
                && fits("a*", b"a\n\xff")
                && fits("?", "ö".as_bytes())
                && fits("?", b"\xff")
        );
        assert!(!fits("ng?x", b"nginx") && !fits("*.sock", b"a.socks") && !fits("A*", b"ab") && !fits(r"\*?", b"ab"));
        assert!(glob(r"a\*b", false).unwrap().is_none());
        assert_eq!(plain(r"a\*b\\"), br"a*b\");
        let path = |form: &str, text: &[u8]| path_glob(form).unwrap().is_match(text);
        assert!(path("/RUN/*[0-9].sock", b"/run/x7.sock") && path("[!a]b", b"xb") && path("[]x", b"[]x"));
        assert!(!path("[!a]b", b"ab") && !path("/run/*", b"@/run/x"));
    }
}
