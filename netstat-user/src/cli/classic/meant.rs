//! What was probably meant by words of a classic command line: misspelt options, and letters of ss that netstat reads in another way, or refuses.

use super::getopt::Getopt;
use super::{Options, View};
use crate::cli::names::VERBS;
use crate::cli::{self, HELP, help, select};
use crate::field::{self, RowKinds};
use crate::filter;
use crate::model::visible::escape_text;

/// Letters of netstat that are typed together to choose sockets. With two dashes they are read as a long name.
const LETTERS: &str = "tuxwaln46peov";
/// A name without one of these is rather a misspelt long option.
const CHOOSERS: &str = "tuxwal";

/// What to report of a long option that is none of the tables: one of a verb, letters, a field, or another one. `word` may have a value behind it.
pub fn by_name(getopt: &Getopt<'_>, word: &str) -> Option<String> {
    let name = word.split('=').next().unwrap_or(word);
    let has_option = |page: &help::Page| page.command.get_arguments().any(|arg| arg.get_long() == Some(name));
    let verb = cli::pages().into_iter().find(|(_, page)| has_option(page)).map(|(verb, _)| verb);
    // `--user` is an option of `agent` and a field of rows: whoever asks for a table means the field.
    if verb != Some("events")
        && let Some(way) = select::instead_of_option(name, RowKinds::ALL, &getopt.names())
    {
        return Some(way);
    }
    let meant = match verb {
        Some(verb) => format!("netstat-user {verb} --{name}"),
        None if are_letters(name) => format!("-{name}"),
        None => format!("--{}", getopt.meant(name)?),
    };
    Some(format!("did you mean `{meant}'?"))
}

fn are_letters(name: &str) -> bool {
    let once = |letter: char| name.matches(letter).count() == 1;
    name.len() > 1
        && name.contains(|letter| CHOOSERS.contains(letter))
        && name.chars().all(|letter| LETTERS.contains(letter) && once(letter))
}

/// What to report of a letter that is no option here, and one of ss.
pub fn by_letter(letter: u8) -> Option<&'static str> {
    match letter {
        b'K' => Some("-K of ss closes sockets: write `netstat-user kill --where EXPR'"),
        b'E' => Some("-E of ss shows sockets as they end: write `netstat-user events --event close'"),
        b'm' => {
            Some("-m of ss shows the memory of sockets: of that, `--columns local,remote,recv_q,send_q' has the queues")
        }
        _ => None,
    }
}

/// What to report of letters that netstat takes, where those of ss were probably meant.
pub fn by_letters(given: &Options) -> Option<&'static str> {
    (given.view() == View::Interfaces && given.protocols.any())
        .then_some("-i lists the interfaces, whatever stands beside it; what ss -i shows of each connection is --info")
}

/// A text as a shell takes it for one word, whatever is in it: a hint may be pasted.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The same, without quotes where the shell needs none.
fn for_shell(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.,:/@%+".contains(letter);
    if word.chars().all(is_plain) { word.to_owned() } else { quoted(word) }
}

/// What to report of words that are ignored: which they are, and what was probably meant. `first` is the word that stands where a verb does.
pub fn by_words(words: &str, first: Option<&str>, given: &Options) -> String {
    let shown = String::from_utf8_lossy(&escape_text(words.as_bytes())).into_owned();
    let verb = first.and_then(|first| field::nearest(first, VERBS.into_iter().chain([HELP])));
    let late = || words.split(' ').find_map(|word| VERBS.into_iter().chain([HELP]).find(|verb| *verb == word));
    let of_help = || words.split(' ').skip(1).find_map(|word| VERBS.into_iter().find(|verb| *verb == word));
    let meant = match verb.or_else(late) {
        Some(HELP) => match of_help() {
            Some(verb) => format!("; did you mean `netstat-user {verb} --help'?"),
            None => "; did you mean `netstat-user --help'?".to_owned(),
        },
        Some(verb) if first.is_none() => format!("; a verb stands before its options: netstat-user {verb} --help"),
        Some(verb) => format!("; did you mean `netstat-user {verb}'?"),
        None if super::can_select(given) && filter::is_meant(words) => {
            format!("; did you mean --where {}?", quoted(&shown))
        }
        // ss, lsof and ps have the letter with a value.
        None if given.programs && words.parse::<u32>().is_ok() => {
            format!("; -p of netstat takes no value: did you mean `--pid {shown}'?")
        }
        None if words.strip_prefix(':').is_some_and(|port| !port.is_empty() && !port.contains(' ')) => {
            format!("; did you mean `--port {}'?", for_shell(&shown[1..]))
        }
        // netstat's -N is about hardware names, and takes no value.
        None if given.symbolic && !words.contains(' ') => {
            format!("; -N of ss is --netns: did you mean `--netns {}'?", for_shell(&shown))
        }
        None => "; `netstat-user --help' lists options and verbs".to_owned(),
    };
    format!("ignored: {shown}{meant}")
}
