//! An expression as text that reads as the same expression.

use super::{Expr, Literal, Op, Side};
use std::fmt;

impl Side {
    const fn host(self) -> &'static str {
        match self {
            Self::Local => "src",
            Self::Remote => "dst",
        }
    }

    const fn port(self) -> &'static str {
        match self {
            Self::Local => "sport",
            Self::Remote => "dport",
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |negated: &bool| if *negated { "!=" } else { "=" };
        match self {
            Self::All(list) => joined(f, list, " and ", |inner| matches!(inner, Self::All(_) | Self::Any(_))),
            Self::Any(list) => joined(f, list, " or ", |inner| matches!(inner, Self::Any(_))),
            Self::Not(inner) => {
                let run = matches!(&**inner, Self::States(words) if words.len() > 1);
                f.write_str("not ")?;
                one(f, inner, run || matches!(**inner, Self::All(_) | Self::Any(_)))
            }
            Self::States(words) => {
                for (at, word) in words.iter().enumerate() {
                    let blank = if at > 0 { " " } else { "" };
                    let verb = if word.exclude { "exclude" } else { "state" };
                    write!(f, "{blank}{verb} {}", word.states.word)?;
                }
                Ok(())
            }
            Self::Host { side, host, .. } => write!(f, "{} {}", side.host(), Text(&host.to_string())),
            Self::Port { side, op, port, .. } => {
                write!(f, "{} {} {}", side.port(), op.name(), Text(&port.to_string()))
            }
            Self::Device { negated, name, .. } => write!(f, "dev {} {}", sign(negated), Text(name)),
            Self::Mark { negated, mark, mask } => write!(f, "fwmark {} {mark:#x}/{mask:#x}", sign(negated)),
            Self::Autobound => f.write_str("autobound"),
            Self::Compare { field, op, value, .. } => write!(f, "{} {} {value}", field.name(), op.name()),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, list: &[Expr], between: &str, nested: impl Fn(&Expr) -> bool) -> fmt::Result {
    for (at, inner) in list.iter().enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        one(f, inner, nested(inner))?;
    }
    Ok(())
}

fn one(f: &mut fmt::Formatter<'_>, expr: &Expr, nested: bool) -> fmt::Result {
    if nested { write!(f, "({expr})") } else { write!(f, "{expr}") }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.null { f.write_str("null") } else { Text(&self.text).fmt(f) }
    }
}

/// A text: bare where that reads as the same text, else in quotes.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WORDS: [&str; 13] = ["null", "and", "or", "not", "eq", "ne", "neq", "lt", "gt", "le", "leq", "ge", "geq"];
        let text = self.0;
        let pairs = || {
            let mut letters = text.chars();
            std::iter::from_fn(move || {
                let letter = letters.next()?;
                Some((letter, if letter == '\\' { letters.next() } else { None }))
            })
        };
        let is_sign = |letter: char| letter.is_whitespace() || "()=<>!~&|'\"".contains(letter);
        let bare = !text.is_empty()
            && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
            && pairs().all(|(letter, escaped)| !is_sign(letter) && (letter != '\\' || escaped.is_some()));
        if bare {
            return f.write_str(text);
        }
        let quote = if pairs().any(|pair| pair == ('\\', Some('\''))) { '"' } else { '\'' };
        write!(f, "{quote}")?;
        for (letter, escaped) in pairs() {
            match escaped {
                Some(escaped) => write!(f, "{letter}{escaped}")?,
                None if letter == quote => write!(f, "\\{letter}")?,
                None => write!(f, "{letter}")?,
            }
        }
        write!(f, "{quote}")
    }
}

/// [`Op`] is printed as a sign, whichever spelling was read.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
