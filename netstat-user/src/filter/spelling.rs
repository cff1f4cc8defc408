//! The short spellings of the commonest expressions: `--port 80,443` and the like.

use super::{Expr, Literal, Op, PatternError, PortPattern, Side, StateSet, StateWord, TextPlace};
use crate::field::{Field, nearest};
use crate::model::Proto;

/// What is wrong with a word of a short spelling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Nothing stands before or behind a comma.
    #[error("a value is missing; write values separated by commas")]
    Missing,
    /// No state has this name.
    #[error("`{word}' is no state: write one of {}, or netstat's names{}", StateSet::words().collect::<Vec<_>>().join(" "), meant(*.near))]
    State {
        /// The word.
        word: String,
        /// The name that was probably meant.
        near: Option<&'static str>,
    },
    /// No port.
    #[error("`{0}' is no port: write a number or the name of a service")]
    AnyPort(String),
    /// No port, nor the name of a service.
    #[error(transparent)]
    Port(#[from] PatternError),
    /// No process id.
    #[error("`{0}' is no process id: write a number from 1 to 4194304")]
    Pid(String),
    /// No namespace.
    #[error("`{0}' is no network namespace: {names}", names = Spelling::Netns.names())]
    Netns(String),
    /// No protocol.
    #[error("`{word}' is no protocol: write one of {}{}", INTERNET.join(" "), meant(*.near))]
    Proto {
        /// The word.
        word: String,
        /// The name that was probably meant.
        near: Option<&'static str>,
    },
    /// A protocol whose sockets have no events and are not closed.
    #[error("`{0}' sockets are not seen here: write one of {known}", known = INTERNET.join(" "))]
    TableOnly(String),
}

fn meant(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}'?"))
}

/// An option that spells an expression. Its values are a list, and it may be given again for more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the options")]
pub enum Spelling {
    Pid,
    Port,
    Lport,
    Rport,
    State,
    Comm,
    Netns,
    Proto,
}

impl Spelling {
    /// Every one.
    pub const ALL: [Self; 8] =
        [Self::Pid, Self::Port, Self::Lport, Self::Rport, Self::State, Self::Comm, Self::Netns, Self::Proto];

    /// The option, without its dashes.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Port => "port",
            Self::Lport => "lport",
            Self::Rport => "rport",
            Self::State => "state",
            Self::Comm => "comm",
            Self::Netns => "netns",
            Self::Proto => "proto",
        }
    }

    /// How what it names is written.
    pub const fn names(self) -> &'static str {
        match self {
            Self::Netns => "write `self', a name in /run/netns or an inode number",
            _ => "write a number or the name of a service",
        }
    }

    /// The expression that one of the values is meant by.
    ///
    /// # Errors
    /// What is wrong with a value, as a sentence without its full stop.
    pub fn expr(self, values: &[String]) -> Result<Expr, WordError> {
        let mut words = Vec::new();
        for word in values.iter().flat_map(|value| value.split(',')) {
            if word.is_empty() {
                return Err(WordError::Missing);
            }
            words.push(word);
        }
        if self == Self::State {
            let states: Result<Vec<StateWord>, WordError> = words.iter().map(|word| state(word)).collect();
            return states.map(Expr::States);
        }
        let mut list = Vec::new();
        for word in words {
            match self {
                Self::Pid => list.push(pid(word)?),
                Self::Port => list.extend([port(Side::Local, word)?, port(Side::Remote, word)?]),
                Self::Lport => list.push(port(Side::Local, word)?),
                Self::Rport => list.push(port(Side::Remote, word)?),
                Self::Comm => list.push(comm(word)),
                Self::Netns => list.push(netns(word)?),
                Self::Proto => list.extend(protos(word)?.into_iter().map(|name| equals(Field::Proto, name))),
                Self::State => {}
            }
        }
        Ok(Expr::any(list))
    }
}

fn equals(field: Field, value: impl Into<String>) -> Expr {
    Expr::Compare { field, op: Op::Eq, value: Literal::text(value), place: TextPlace::default() }
}

/// The state or group of states of a word, in ss's or netstat's spelling.
///
/// # Errors
/// What is wrong with it.
pub fn state(word: &str) -> Result<StateWord, WordError> {
    let states = StateSet::parse(word);
    let states = states.ok_or_else(|| WordError::State { word: word.to_owned(), near: StateSet::nearest(word) })?;
    Ok(StateWord { exclude: false, states })
}

/// A port, or those from one number to another: `8000-8099`. The names of services may have a dash, too.
fn port(side: Side, word: &str) -> Result<Expr, WordError> {
    let compared = |op, word: &str| match PortPattern::parse(word)? {
        PortPattern::Any => Err(WordError::AnyPort(word.to_owned())),
        port => Ok(Expr::Port { side, op, port, place: TextPlace::default() }),
    };
    let number = |word: &str| word.parse::<u16>().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()));
    let range =
        word.split_once('-').filter(|(first, last)| number(first).is_some_and(|first| number(last) >= Some(first)));
    match range {
        Some((first, last)) => Ok(Expr::all(vec![compared(Op::Ge, first)?, compared(Op::Le, last)?])),
        None => compared(Op::Eq, word),
    }
}

fn pid(word: &str) -> Result<Expr, WordError> {
    match word.parse::<u32>() {
        Ok(1..=4_194_304) if word.bytes().all(|byte| byte.is_ascii_digit()) => Ok(equals(Field::OwnersPid, word)),
        _ => Err(WordError::Pid(word.to_owned())),
    }
}

fn comm(word: &str) -> Expr {
    equals(Field::OwnersComm, word.replace('\\', "\\\\"))
}

fn netns(word: &str) -> Result<Expr, WordError> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) && !word.parse::<u32>().is_ok_and(|inode| inode > 0) {
        return Err(WordError::Netns(word.to_owned()));
    }
    Ok(equals(Field::Netns, word))
}

/// The protocols of a word: both families without a 4 or a 6 behind it, as netstat's letters mean them.
///
/// # Errors
/// What is wrong with it.
pub fn protos(word: &str) -> Result<Vec<&'static str>, WordError> {
    const FAMILIES: [&str; 4] = ["tcp", "udp", "udplite", "raw"];
    let lower = word.to_ascii_lowercase();
    let named = |name: &str| Proto::ALL.into_iter().map(Proto::name).find(|known| *known == name);
    let single = ["sctp", "unix"].into_iter().find(|known| *known == lower);
    let base = lower.strip_suffix('4').filter(|base| FAMILIES.contains(base));
    let found: Vec<&'static str> = match (single, base) {
        (Some(single), _) => vec![single],
        (None, Some(base)) => named(base).into_iter().collect(),
        (None, None) if FAMILIES.contains(&&*lower) => {
            named(&lower).into_iter().chain(named(&format!("{lower}6"))).collect()
        }
        (None, None) => named(&lower).into_iter().collect(),
    };
    if !found.is_empty() {
        return Ok(found);
    }
    Err(WordError::Proto { word: word.to_owned(), near: nearest(&lower, INTERNET) })
}

/// The words for the protocols of Internet sockets that events and `kill` know.
pub const INTERNET: [&str; 12] =
    ["tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "udplite", "udplite4", "udplite6", "raw", "raw4", "raw6"];

/// Refuses protocols whose sockets have no events and are not closed: SCTP's, and UNIX domain sockets.
///
/// # Errors
/// What is wrong with the first wrong word, and the words to write.
pub fn only_internet(values: &[String]) -> Result<(), WordError> {
    for word in values.iter().flat_map(|value| value.split(',')) {
        if ["sctp", "unix"].iter().any(|known| known.eq_ignore_ascii_case(word)) {
            return Err(WordError::TableOnly(word.to_owned()));
        }
    }
    Ok(())
}
