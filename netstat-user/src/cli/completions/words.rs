//! The words that values are made of: names of states, fields, protocols, and what continues an expression.

use crate::field::{self, FIELDS, Field, RowKinds, ValueKind};
use crate::filter::{CONDITIONS, INTERNET, StateSet};
use crate::model::TcpState;
use clap_complete::engine::CompletionCandidate;
use std::ffi::OsStr;

/// Candidates without a description.
pub fn named<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Vec<CompletionCandidate> {
    names.into_iter().map(|name| CompletionCandidate::new(name.into())).collect()
}

/// The protocols that `--proto` takes where rows of these kinds are listed.
pub fn protocols(rows: RowKinds) -> impl Iterator<Item = &'static str> {
    // UNIX domain sockets that closed are not remembered.
    let tables =
        [("sctp", rows.meets(RowKinds::SCTP)), ("unix", rows.meets(RowKinds::UNIX) && !rows.meets(RowKinds::CLOSED))];
    INTERNET.into_iter().chain(tables.into_iter().filter(|(_, listed)| *listed).map(|(name, _)| name))
}

/// The fields that such rows have, and their groups, each with what it means.
pub fn fields(rows: RowKinds, prefix: &str) -> Vec<CompletionCandidate> {
    let of_rows = FIELDS.iter().filter(|spec| spec.rows().meets(rows));
    let one = of_rows.map(|spec| (spec.name, spec.doc.to_owned()));
    let group = |name| field::group(name).map(Field::name).collect::<Vec<_>>().join(" ");
    let groups = field::groups(rows).map(|name| (name, group(name)));
    let described = one.chain(groups);
    described.map(|(name, doc)| CompletionCandidate::new(format!("{prefix}{name}")).help(Some(doc.into()))).collect()
}

/// The states that begin with what is typed: in capitals netstat's names, else ss's; and ss's groups of them in either.
pub fn states(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    named(states_like(typed))
}

fn states_like(typed: &str) -> Vec<String> {
    let netstats = || TcpState::ALL.into_iter().map(|state| state.name().to_owned());
    if typed.is_empty() {
        let is_group = |word: &&str| StateSet::parse(word).is_some_and(|set| set.single().is_none());
        return netstats().chain(StateSet::words().filter(is_group).map(str::to_owned)).collect();
    }
    let upper = typed.contains(|letter: char| letter.is_ascii_uppercase());
    let cased = |word: &str| if upper { word.to_ascii_uppercase() } else { word.to_ascii_lowercase() };
    let begins = |word: &String| word.starts_with(&cased(typed));
    let ss: Vec<String> = StateSet::words().map(cased).filter(begins).collect();
    let netstats: Vec<String> = netstats().map(|name| cased(&name)).filter(begins).collect();
    // One spelling of a state is enough, and the groups have but one.
    let (first, second) = if upper { (netstats, ss) } else { (ss, netstats) };
    let same =
        |one: &str, other: &str| StateSet::parse(one).map(|set| set.bits) == StateSet::parse(other).map(|set| set.bits);
    let more = second.into_iter().filter(|word| !first.iter().any(|known| same(known, word))).collect::<Vec<_>>();
    first.into_iter().chain(more).collect()
}

/// What continues an expression over such rows: conditions and fields where one begins, the words of states and of fields that have few,
/// and what joins conditions.
pub fn expression(typed: &OsStr, rows: RowKinds) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let begin = typed.rfind([' ', '(', ')', '!', '=', '<', '>', '~']).map_or(0, |at| at + 1);
    let (before, word) = typed.split_at(begin);
    let like = |candidates: Vec<CompletionCandidate>| {
        let begins = |candidate: &CompletionCandidate| candidate.get_value().to_string_lossy().starts_with(word);
        candidates.into_iter().filter(begins).collect::<Vec<_>>()
    };
    let found = match Expected::behind(before) {
        Expected::Condition => like(conditions(rows)),
        Expected::State => named(states_like(word)),
        Expected::Value(field) => like(values(field, word, rows)),
        Expected::Operand => Vec::new(),
        Expected::Operator => like(named(["=", "!=", "<", "<=", ">", ">=", "~", "!~"])),
        Expected::Next => like(named(["and", "or"]).into_iter().chain(conditions(rows)).collect()),
    };
    found.into_iter().map(|candidate| candidate.add_prefix(before)).collect()
}

/// Where in an expression a word stands.
enum Expected {
    /// At the begin of a condition.
    Condition,
    /// Behind `state` or `exclude`.
    State,
    /// Behind an operator and this field.
    Value(Field),
    /// Behind a word that takes what has no names.
    Operand,
    /// Behind the name of a field.
    Operator,
    /// Behind a whole condition.
    Next,
}

impl Expected {
    fn behind(before: &str) -> Self {
        let before = before.trim_end_matches(' ');
        let last = |text: &str| text.rsplit([' ', '(', ')', '!']).next().unwrap_or_default().to_owned();
        let compared = before.trim_end_matches(['=', '!', '<', '>', '~']);
        let field = Field::named(&last(compared.trim_end_matches(' ')));
        match field {
            // Half an operator: `!' begins a condition elsewhere.
            Some(_) if before.ends_with('!') => return Self::Operand,
            _ if compared.len() == before.len() || before.ends_with('!') => {}
            field => return field.map_or(Self::Operand, Self::Value),
        }
        match last(before).as_str() {
            "eq" | "ne" | "neq" | "lt" | "gt" | "le" | "leq" | "ge" | "geq" => {
                let compared =
                    before.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()).trim_end_matches(' ');
                Field::named(&last(compared)).map_or(Self::Operand, Self::Value)
            }
            "and" | "or" | "not" => Self::Condition,
            "" if before.ends_with(')') => Self::Next,
            "" => Self::Condition,
            "state" | "exclude" | "excl" => Self::State,
            "src" | "dst" | "sport" | "dport" | "dev" | "cgroup" | "fwmark" => Self::Operand,
            word if Field::named(word).is_some() => Self::Operator,
            _ => Self::Next,
        }
    }
}

/// Words that a condition over such rows begins with.
fn conditions(rows: RowKinds) -> Vec<CompletionCandidate> {
    // Where single events are listed nothing is bound to a device, nor has a mark.
    let has = |name: &&str| Field::named(name).is_none_or(|field| field.spec().rows().meets(rows));
    let words = CONDITIONS.into_iter().filter(has).chain(["not"]);
    let fields = FIELDS.iter().filter(|spec| spec.rows().meets(rows) && !CONDITIONS.contains(&spec.name));
    let fields = fields.map(|spec| CompletionCandidate::new(spec.name).help(Some(spec.doc.into())));
    named(words).into_iter().chain(fields).collect()
}

/// The values of a field that has few of them, in the case that is typed.
fn values(field: Field, typed: &str, rows: RowKinds) -> Vec<CompletionCandidate> {
    let ValueKind::Word(words) = field.spec().kind else { return Vec::new() };
    let unix_only =
        |word: &str| matches!(field, Field::State) && TcpState::ALL.iter().all(|state| state.name() != word);
    let protocols: Vec<_> = protocols(rows).collect();
    let has = |word: &&&str| match field {
        Field::Proto => protocols.contains(*word),
        _ => rows.meets(RowKinds::UNIX) || !unix_only(word),
    };
    let cased = |word: &&str| if word.starts_with(typed) { (*word).to_owned() } else { word.to_ascii_lowercase() };
    named(words.iter().filter(has).map(cased))
}
