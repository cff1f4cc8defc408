//! getopt_long over clap's definitions: options anywhere, operands skipped, letters combined, prefixes of long names.

use crate::cli::RefusalReason;
use crate::field::nearest;
use clap::Arg;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// netstat's long options in the order of its table, which is that of getopt's messages. A prefix that fits several
/// families means the first of them.
const FAMILIES: [&str; 13] =
    ["ax25", "ip", "ipx", "appletalk", "netrom", "inet", "inet6", "ddp", "unix", "tcpip", "x25", "rose", "bluetooth"];

/// The options after the families; `unix` is there a second time, so that `--uni` means nothing.
const OTHERS: [&str; 32] = [
    "version",
    "interfaces",
    "help",
    "route",
    "raw",
    "rfcomm",
    "tcp",
    "sctp",
    "udp",
    "udplite",
    "unix",
    "l2cap",
    "listening",
    "all",
    "numeric",
    "numeric-hosts",
    "numeric-ports",
    "numeric-users",
    "protocol",
    "programs",
    "continuous",
    "cache",
    "context",
    "statistics",
    "symbolic",
    "timers",
    "verbose",
    "masquerade",
    "groups",
    "fib",
    "extend",
    "wide",
];

/// One option, as met on the command line.
#[derive(Debug)]
pub struct Met<'a> {
    /// The id of its definition.
    pub id: &'a str,
    /// Its value, empty where it takes none.
    pub value: &'a OsStr,
}

/// What is wrong with a word; the texts are getopt's.
#[derive(Debug, PartialEq)]
pub enum Error {
    /// No such letter, which is one byte to getopt.
    Invalid(u8),
    /// A letter that takes a value stands last.
    ShortWithoutValue(u8),
    /// No such long name.
    Unrecognized(Vec<u8>),
    /// A prefix of several names: they follow, each after a blank.
    Ambiguous(Vec<u8>, String),
    /// A value for an option that takes none.
    UnwantedValue(String),
    /// None for one that takes one.
    LongWithoutValue(String),
}

impl Error {
    /// Why the program refuses its command line.
    pub fn reason(self, program: &OsStr) -> RefusalReason {
        let (text, values) = match self {
            Self::Invalid(letter) => ("%s: invalid option -- '%c'\n", vec![vec![letter]]),
            Self::ShortWithoutValue(letter) => ("%s: option requires an argument -- '%c'\n", vec![vec![letter]]),
            Self::Unrecognized(name) => ("%s: unrecognized option '%s%s'\n", vec!["--".into(), name]),
            Self::Ambiguous(name, names) => {
                ("%s: option '%s%s' is ambiguous; possibilities:%s\n", vec!["--".into(), name, names.into()])
            }
            Self::UnwantedValue(name) => {
                ("%s: option '%s%s' doesn't allow an argument\n", vec!["--".into(), name.into()])
            }
            Self::LongWithoutValue(name) => {
                ("%s: option '%s%s' requires an argument\n", vec!["--".into(), name.into()])
            }
        };
        RefusalReason { text, values: std::iter::once(program.as_bytes().to_vec()).chain(values).collect() }
    }
}

/// The words still to read.
pub struct Getopt<'a> {
    /// netstat's options, which may be shortened.
    netstats: &'a [Arg],
    /// Ours, which may not.
    ours: &'a [Arg],
    words: std::slice::Iter<'a, OsString>,
    /// What is left of a word of letters.
    letters: &'a [u8],
    /// Whether the first word that is no option ends them.
    posix: bool,
    /// Words that are no options, which netstat ignores.
    ignored: Vec<&'a OsStr>,
}

impl<'a> Getopt<'a> {
    /// Over the words after the program's name; `posix`: the first one that is no option ends them.
    pub fn new(netstats: &'a [Arg], ours: &'a [Arg], words: &'a [OsString], posix: bool) -> Self {
        Self { netstats, ours, words: words.iter(), letters: &[], posix, ignored: Vec::new() }
    }

    /// The next option, `None` after the last.
    pub fn next(&mut self) -> Result<Option<Met<'a>>, Error> {
        loop {
            if let Some((&letter, rest)) = self.letters.split_first() {
                self.letters = rest;
                return self.short(letter).map(Some);
            }
            let Some(word) = self.words.next() else { return Ok(None) };
            match word.as_bytes() {
                b"--" => self.ignored.extend(std::mem::take(&mut self.words).map(OsString::as_os_str)),
                [b'-', b'-', name @ ..] => return self.long(name).map(Some),
                [b'-', letters @ ..] if !letters.is_empty() => self.letters = letters,
                _ => {
                    self.ignored.push(word);
                    if self.posix {
                        self.ignored.extend(std::mem::take(&mut self.words).map(OsString::as_os_str));
                    }
                }
            }
        }
    }

    /// The long option that was probably meant by a name that is none, without its dashes.
    pub fn meant(&self, name: &str) -> Option<&'a str> {
        // Older manual pages of netstat have it.
        let name = if name == "ip6" { "inet6" } else { name };
        nearest(name, self.names())
    }

    /// The names of all long options.
    pub fn names(&self) -> Vec<&'a str> {
        self.all().flat_map(names).collect()
    }

    /// The words passed over so far, which are no options.
    pub fn ignored(&self) -> &[&'a OsStr] {
        &self.ignored
    }

    fn all(&self) -> impl Iterator<Item = &'a Arg> + use<'a> {
        self.netstats.iter().chain(self.ours)
    }

    fn short(&mut self, letter: u8) -> Result<Met<'a>, Error> {
        let is_it = |arg: &&Arg| letter.is_ascii() && arg.get_short() == Some(char::from(letter));
        let arg = self.all().find(is_it).ok_or(Error::Invalid(letter))?;
        let value = match (takes_value(arg), self.letters) {
            (false, _) => OsStr::new(""),
            (true, []) => self.words.next().ok_or(Error::ShortWithoutValue(letter))?,
            (true, rest) => {
                self.letters = &[];
                OsStr::from_bytes(rest)
            }
        };
        Ok(Met { id: arg.get_id().as_str(), value })
    }

    fn long(&mut self, word: &'a [u8]) -> Result<Met<'a>, Error> {
        let (name, given) = match word.iter().position(|&b| b == b'=') {
            Some(at) => (&word[..at], Some(OsStr::from_bytes(&word[at + 1..]))),
            None => (word, None),
        };
        let (full, arg) = self.find_long(name, word)?.ok_or_else(|| Error::Unrecognized(word.to_vec()))?;
        let value = match (takes_value(arg), given) {
            (false, None) => OsStr::new(""),
            (false, Some(_)) => return Err(Error::UnwantedValue(full.to_owned())),
            (true, Some(value)) => value,
            (true, None) => self.words.next().ok_or_else(|| Error::LongWithoutValue(full.to_owned()))?,
        };
        Ok(Met { id: arg.get_id().as_str(), value })
    }

    /// The option with this name, or the only one with this prefix, with its whole name; `word` is the name with what
    /// follows it, for messages.
    fn find_long(&self, name: &[u8], word: &[u8]) -> Result<Option<(&'a str, &'a Arg)>, Error> {
        let named = |name: &[u8]| {
            let matching = |arg| names(arg).find(|n| n.as_bytes() == name).map(|n| (n, arg));
            self.all().find_map(matching)
        };
        if let Some(exact) = named(name) {
            return Ok(Some(exact));
        }
        let fits = |option: &&str| option.as_bytes().starts_with(name);
        let families: Vec<&str> = FAMILIES.into_iter().filter(fits).collect();
        let others = OTHERS.into_iter().filter(fits);
        // The families are one option to getopt: among themselves they are never ambiguous.
        let possible: Vec<&str> = families.into_iter().take(1).chain(others).collect();
        match possible[..] {
            [] => Ok(None),
            [only] => Ok(named(only.as_bytes())),
            _ => Err(Error::Ambiguous(word.to_vec(), possible.iter().map(|n| format!(" '--{n}'")).collect())),
        }
    }
}

fn names(arg: &Arg) -> impl Iterator<Item = &str> {
    arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default())
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_order_names_every_option() {
        let netstats = crate::cli::classic::definitions::netstats();
        let defined: BTreeSet<&str> = netstats.iter().flat_map(names).collect();
        let ordered: BTreeSet<&str> = FAMILIES.into_iter().chain(OTHERS).collect();
        assert_eq!(ordered, defined);
    }
}
