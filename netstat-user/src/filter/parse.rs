//! The grammar: tokens → [`Expr`].

use super::lex::{Token, TokenKind, Tokens, Wrong, tokens};
use super::literal::{self, Literal};
use super::{Addresses, Expr, HostPattern, Mistake, Op, PortPattern, Side, StateSet, StateWord, TextPlace};
use crate::field::{ColumnError, FIELDS, Field, GROUPS, RowKinds, group, instead_of, nearest, nearest_field};
use winnow::combinator::{alt, opt, peek, repeat, separated};
use winnow::error::{ErrMode, ParserError};
use winnow::prelude::*;
use winnow::stream::Stream;
use winnow::token::any;

type Parsed<T> = Result<T, ErrMode<Wrong>>;

/// How deep parentheses and `not` may nest: an expression is walked by recursion.
const DEPTH: usize = 64;
/// The longest expression, in bytes.
const LONGEST: usize = 16 << 10;

/// ss's words for conditions.
pub const CONDITIONS: [&str; 10] =
    ["state", "exclude", "src", "dst", "sport", "dport", "dev", "cgroup", "fwmark", "autobound"];

/// Reads an expression over rows of which one must have each field that it names.
///
/// # Errors
/// The first [`Mistake`].
pub fn parse(expression: &str, rows: RowKinds) -> Result<Expr, Mistake> {
    let mistake = |wrong: Wrong| {
        let end = TextPlace { start: expression.len(), end: expression.len() };
        let place = wrong.place.unwrap_or(end);
        Mistake { expression: expression.to_owned(), place, what: wrong.what, nearest: wrong.nearest }
    };
    if expression.len() > LONGEST {
        let place = TextPlace { start: 0, end: 1 };
        let what = format!("an expression has at most {LONGEST} bytes, this one has {}", expression.len());
        let short = expression.chars().take(60).collect();
        return Err(Mistake { expression: short, place, what, nearest: None });
    }
    let tokens = tokens(expression)?;
    let mut input = Tokens::new(&tokens);
    let grammar = Grammar { rows };
    let parsed = grammar.whole(&mut input).and_then(|expr| match input.first() {
        None => Ok(expr),
        Some(Token { kind: TokenKind::Close, .. }) => Err(wrong(&input, "no `(' is open here")),
        Some(_) => Err(wrong(&input, "expected `and', `or' or the end of the expression")),
    });
    parsed.map_err(|error| {
        let unexpected = || Wrong { left: 0, place: None, what: "expected an expression".into(), nearest: None };
        mistake(error.into_inner().unwrap_or_else(|_| unexpected()))
    })
}

/// Whether words were probably meant as an expression: they are one, or begin like one.
pub fn is_meant(words: &str) -> bool {
    let rows = RowKinds::INET.or(RowKinds::UNIX);
    let first =
        words.trim_start_matches(['(', '!', ' ']).split([' ', '=', '<', '>', '~', '!']).next().unwrap_or_default();
    let begins = CONDITIONS.contains(&first) || first == "not" || Field::named(first).is_some();
    begins || parse(words, rows).is_ok()
}

fn wrong(input: &Tokens<'_>, what: impl Into<String>) -> ErrMode<Wrong> {
    ErrMode::Cut(Wrong { what: what.into(), ..Wrong::from_input(input) })
}

fn wrong_at(place: TextPlace, what: impl Into<String>, nearest: Option<&'static str>) -> ErrMode<Wrong> {
    ErrMode::Cut(Wrong { left: 0, place: Some(place), what: what.into(), nearest })
}

/// A sign.
fn sign<'t>(kind: TokenKind) -> impl Parser<Tokens<'t>, TextPlace, ErrMode<Wrong>> {
    any.verify_map(move |token: &Token| (token.kind == kind).then_some(token.place))
}

/// One of these words, in any case where `any_case`.
fn word<'t>(words: &'static [&'static str], any_case: bool) -> impl Parser<Tokens<'t>, TextPlace, ErrMode<Wrong>> {
    let is = move |text: &str| words.iter().any(|word| *word == text || any_case && word.eq_ignore_ascii_case(text));
    any.verify_map(move |token: &Token| match &token.kind {
        TokenKind::Word { text, quoted: false } if is(text) => Some(token.place),
        _ => None,
    })
}

fn and(input: &mut Tokens<'_>) -> Parsed<TextPlace> {
    alt((sign(TokenKind::And), word(&["and"], true))).parse_next(input)
}

fn or(input: &mut Tokens<'_>) -> Parsed<TextPlace> {
    alt((sign(TokenKind::Or), word(&["or"], true))).parse_next(input)
}

fn not(input: &mut Tokens<'_>) -> Parsed<TextPlace> {
    alt((sign(TokenKind::Not), word(&["not"], true))).parse_next(input)
}

/// An operator, as a sign or as one of ss's words.
fn op(input: &mut Tokens<'_>) -> Parsed<Op> {
    let named = |text: &str| {
        Some(match text {
            "eq" => Op::Eq,
            "ne" | "neq" => Op::Ne,
            "lt" => Op::Lt,
            "gt" => Op::Gt,
            "le" | "leq" => Op::Le,
            "ge" | "geq" => Op::Ge,
            _ => return None,
        })
    };
    any.verify_map(|token: &Token| match &token.kind {
        TokenKind::Op(op) => Some(*op),
        TokenKind::Word { text, quoted: false } => named(text),
        _ => None,
    })
    .parse_next(input)
}

/// A bare or quoted word, whatever it says.
fn text<'t>(input: &mut Tokens<'t>) -> Parsed<(&'t str, bool, TextPlace)> {
    any.verify_map(|token: &'t Token| match &token.kind {
        TokenKind::Word { text, quoted } => Some((text.as_str(), *quoted, token.place)),
        _ => None,
    })
    .parse_next(input)
}

#[derive(Clone, Copy)]
struct Grammar {
    rows: RowKinds,
}

impl Grammar {
    /// A whole expression. States that it begins with, and no `and` or `or` behind them, hold for all of it: ss(8) has
    /// `[ state STATE-FILTER ] [ EXPRESSION ]`.
    fn whole(self, input: &mut Tokens<'_>) -> Parsed<Expr> {
        let begin = input.checkpoint();
        if let Some(states) = self.states(input, usize::MAX)?
            && !input.is_empty()
            && peek(or).parse_next(input).is_err()
            && peek(and).parse_next(input).is_err()
        {
            return Ok(Expr::all(vec![states, self.expr(input, 0)?]));
        }
        input.reset(&begin);
        self.expr(input, 0)
    }

    /// Alternatives.
    fn expr(self, input: &mut Tokens<'_>, depth: usize) -> Parsed<Expr> {
        let all = |input: &mut Tokens<'_>| self.all(input, depth);
        let list: Vec<Expr> = separated(1.., all, or).parse_next(input)?;
        Ok(Expr::any(list))
    }

    /// Conditions that all hold: with `and` between them, or one after the other.
    fn all(self, input: &mut Tokens<'_>, depth: usize) -> Parsed<Expr> {
        let mut list = vec![self.item(input, depth)?];
        loop {
            let ends = input.first().is_none_or(|token| token.kind == TokenKind::Close);
            if ends || peek(or).parse_next(input).is_ok() {
                return Ok(Expr::all(list));
            }
            opt(and).parse_next(input)?;
            list.push(self.item(input, depth)?);
        }
    }

    fn item(self, input: &mut Tokens<'_>, depth: usize) -> Parsed<Expr> {
        if depth >= DEPTH {
            return Err(wrong(input, format!("an expression nests at most {DEPTH} times")));
        }
        if opt(not).parse_next(input)?.is_some() {
            // One condition alone: not all of a run of states.
            let inner = match self.states(input, 1)? {
                Some(states) => states,
                None => self.item(input, depth + 1)?,
            };
            return Ok(Expr::Not(Box::new(inner)));
        }
        if let Some(open) = opt(sign(TokenKind::Open)).parse_next(input)? {
            let expr = self.expr(input, depth + 1)?;
            return match opt(sign(TokenKind::Close)).parse_next(input)? {
                Some(_) => Ok(expr),
                None if input.is_empty() => Err(wrong_at(open, "this `(' is never closed", None)),
                None => Err(wrong(input, "expected `and', `or' or `)'")),
            };
        }
        match self.states(input, usize::MAX)? {
            Some(states) => Ok(states),
            None => self.condition(input),
        }
    }

    /// `state` and `exclude`, at most so many. `state` before an operator is a field.
    fn states(self, input: &mut Tokens<'_>, most: usize) -> Parsed<Option<Expr>> {
        let one = |input: &mut Tokens<'_>| {
            let exclude = alt((word(&["state"], false).value(false), word(&["exclude", "excl"], false).value(true)))
                .parse_next(input)?;
            if !exclude && peek(op).parse_next(input).is_ok() {
                return Err(ErrMode::Backtrack(Wrong::from_input(input)));
            }
            let expected = "expected the name of a state or of a group of states";
            let (name, _, place) = text(input).map_err(|_: ErrMode<Wrong>| wrong(input, expected))?;
            match StateSet::parse(name) {
                Some(states) => Ok(StateWord { exclude, states }),
                None => {
                    let words = StateSet::words().collect::<Vec<_>>().join(" ");
                    Err(wrong_at(place, format!("{expected} ({words}), not `{name}'"), StateSet::nearest(name)))
                }
            }
        };
        let words: Vec<StateWord> = repeat(0..=most, one).parse_next(input)?;
        Ok((!words.is_empty()).then_some(Expr::States(words)))
    }

    /// One condition that begins with a word.
    fn condition(self, input: &mut Tokens<'_>) -> Parsed<Expr> {
        let expected =
            "expected a condition: a field, or one of src dst sport dport state exclude dev cgroup fwmark autobound";
        let (name, quoted, place) = text(input).map_err(|_: ErrMode<Wrong>| wrong(input, expected))?;
        if quoted {
            return Err(wrong_at(place, expected, None));
        }
        let compares = peek(op).parse_next(input).is_ok();
        if ["and", "or"].iter().any(|word| word.eq_ignore_ascii_case(name)) {
            return Err(wrong_at(place, format!("expected a condition before `{name}'"), None));
        }
        match name {
            "src" => self.host(input, Side::Local),
            "dst" => self.host(input, Side::Remote),
            "sport" => self.port(input, Side::Local),
            "dport" => self.port(input, Side::Remote),
            "autobound" => Ok(Expr::Autobound),
            "dev" if !compares || peek(equality).parse_next(input).is_ok() => {
                self.listed(Field::Dev, place)?;
                let negated = opt(equality).parse_next(input)? == Some(Op::Ne);
                let (name, null, place) = operand(input, "expected the name or index of a device")?;
                if null {
                    let (op, value) = (if negated { Op::Ne } else { Op::Eq }, Literal { text: name, null });
                    return Ok(Expr::Compare { field: Field::Dev, op, value, place });
                }
                Ok(Expr::Device { negated, name, place })
            }
            "fwmark" if !compares || peek(equality).parse_next(input).is_ok() => {
                self.listed(Field::Fwmark, place)?;
                self.mark(input)
            }
            "cgroup" if !compares => {
                let (text, null, place) = operand(input, "expected the path of a cgroup")?;
                let value = Literal { text, null };
                literal::meaning(Field::Cgroup, Op::Eq, &value).map_err(|(what, near)| wrong_at(place, what, near))?;
                Ok(Expr::Compare { field: Field::Cgroup, op: Op::Eq, value, place })
            }
            name if GROUPS.contains(&name) => self.group(input, name, place),
            name => self.compare(input, name, place),
        }
    }

    /// `GROUP = null` and `GROUP != null`: a group is null where all of its fields are, as in JSON.
    fn group(self, input: &mut Tokens<'_>, name: &str, place: TextPlace) -> Parsed<Expr> {
        let fields: Vec<Field> = group(name).collect();
        let listed = |field: &Field| field.spec().rows().meets(self.rows);
        let names = || fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(" ");
        let only = || format!("`{name}' is a group of fields: write one of {}, or `{name} = null'", names());
        let op = equality(input).map_err(|_: ErrMode<Wrong>| wrong_at(place, only(), None))?;
        let (_, null, value_place) = operand(input, &format!("expected null after `{name} {}'", op.name()))?;
        if !null {
            return Err(wrong_at(place, only(), None));
        }
        let null = |&field: &Field| {
            let value = Literal { text: "null".into(), null: true };
            Expr::Compare { field, op, value, place: value_place }
        };
        let list: Vec<Expr> = fields.iter().filter(|field| listed(field)).map(null).collect();
        match fields.first() {
            Some(&first) if list.is_empty() => self.listed(first, place).map(|()| Expr::all(list)),
            _ if op == Op::Eq => Ok(Expr::all(list)),
            _ => Ok(Expr::any(list)),
        }
    }

    fn host(self, input: &mut Tokens<'_>, side: Side) -> Parsed<Expr> {
        opt(alt((sign(TokenKind::Op(Op::Eq)), word(&["eq"], false)))).parse_next(input)?;
        let (text, _, place) = operand(input, "expected a host such as `10.0.0.0/8', `[::1]:80' or `*:ssh'")?;
        let host = HostPattern::parse(&text).map_err(|error| wrong_at(place, error.to_string(), None))?;
        if let HostPattern::Unix(path) = &host {
            if self.rows.is_events() {
                self.listed(Field::Path, place)?;
            }
            literal::path_glob(path).map_err(|(what, near)| wrong_at(place, what, near))?;
        }
        Ok(Expr::Host { side, host, place })
    }

    fn port(self, input: &mut Tokens<'_>, side: Side) -> Parsed<Expr> {
        let here = input.first().map(|token| token.place).unwrap_or_default();
        let op = opt(op).parse_next(input)?.unwrap_or(Op::Eq);
        if matches!(op, Op::Match | Op::NoMatch) {
            return Err(wrong_at(here, "expected one of = != < <= > >= and a port", None));
        }
        let (text, _, place) = operand(input, "expected a port such as `:80' or `:ssh'")?;
        let (v6, port) =
            PortPattern::parse_of_family(&text).map_err(|error| wrong_at(place, error.to_string(), None))?;
        if port == PortPattern::Any && op != Op::Eq {
            return Err(wrong_at(place, format!("expected a port after `{}'", op.name()), None));
        }
        let port = Expr::Port { side, op, port, place };
        if v6.is_none() {
            return Ok(port);
        }
        let host = HostPattern::Inet { v6, addr: Addresses::Any, port: PortPattern::Any };
        Ok(Expr::All(vec![Expr::Host { side, host, place }, port]))
    }

    fn mark(self, input: &mut Tokens<'_>) -> Parsed<Expr> {
        let negated = opt(equality).parse_next(input)? == Some(Op::Ne);
        let (text, null, place) = operand(input, "expected a mark such as 0x1 or 0x1/0x3")?;
        if null {
            let (op, value) = (if negated { Op::Ne } else { Op::Eq }, Literal { text, null });
            return Ok(Expr::Compare { field: Field::Fwmark, op, value, place });
        }
        let (mark, mask) = text.split_once('/').map_or((text.as_str(), None), |(mark, mask)| (mark, Some(mask)));
        match (literal::mark(mark), mask.map_or(Some(u32::MAX), literal::mark)) {
            (Some(mark), Some(mask)) => Ok(Expr::Mark { negated, mark, mask }),
            _ => Err(wrong_at(
                place,
                format!("expected a mark such as 10, 0x1 or 0x1/0x3, and no octal one, not `{text}'"),
                None,
            )),
        }
    }

    /// `FIELD OP VALUE`, the field read already.
    fn compare(self, input: &mut Tokens<'_>, name: &str, place: TextPlace) -> Parsed<Expr> {
        let Some(field) = Field::named(name) else { return Err(self.unknown(name, place)) };
        self.listed(field, place)?;
        let expected = format!("expected an operator after `{name}': = != < <= > >= ~ !~");
        let op = op(input).map_err(|_: ErrMode<Wrong>| wrong(input, expected))?;
        let expected = format!("expected a value after `{name} {}'", op.name());
        let (text, quoted, place) = text(input).map_err(|_: ErrMode<Wrong>| wrong(input, expected))?;
        let value = Literal { text: text.to_owned(), null: !quoted && text == "null" };
        if field == Field::Proto && op == Op::Eq && !value.null {
            self.has_proto(text, place)?;
        }
        match literal::meaning(field, op, &value) {
            Ok(_) => Ok(Expr::Compare { field, op, value, place }),
            Err((what, near)) => Err(wrong_at(place, what, near)),
        }
    }

    /// Whether a row that is listed has the field; refused where none has.
    fn listed(self, field: Field, place: TextPlace) -> Parsed<()> {
        if field.spec().rows().meets(self.rows) {
            return Ok(());
        }
        let what = match field.spec().rows() == RowKinds::LIFE && self.rows.is_events() {
            true => ColumnError::OfLives(field.name()).to_string(),
            false => ColumnError::elsewhere(field.name(), std::iter::once(field), self.rows).to_string(),
        };
        Err(wrong_at(place, what, None))
    }

    /// Refuses protocols of which no row is listed.
    fn has_proto(self, name: &str, place: TextPlace) -> Parsed<()> {
        let (rows, sockets) = match name.to_ascii_lowercase().as_str() {
            "unix" => (RowKinds::UNIX, "UNIX domain sockets"),
            "sctp" => (RowKinds::SCTP, "SCTP sockets"),
            _ => return Ok(()),
        };
        if rows.meets(self.rows) {
            return Ok(());
        }
        let listed = if self.rows.is_events() { "events have" } else { "what is listed has" };
        Err(wrong_at(place, format!("{listed} no {sockets}"), None))
    }

    /// Why a word begins no condition.
    fn unknown(self, name: &str, place: TextPlace) -> ErrMode<Wrong> {
        if name == "port" {
            let what = "a socket has two ports: write `sport = :80 or dport = :80', or --port 80 beside --where";
            return wrong_at(place, what.to_owned(), None);
        }
        if name == "count" {
            return wrong_at(place, ColumnError::Count.to_string(), None);
        }
        let what = format!("there is no field or condition `{name}'; --columns help lists the fields");
        if name.contains('.') {
            return match nearest_field(name, self.rows) {
                None => wrong_at(place, format!("{what}{}", instead_of(name, self.rows)), None),
                near => wrong_at(place, what, near),
            };
        }
        let fields = FIELDS.iter().filter(|spec| spec.rows().meets(self.rows)).map(|spec| spec.name);
        // A word that begins like ss's is more likely one of these.
        let near = nearest(name, CONDITIONS.into_iter().chain(fields));
        wrong_at(place, what, near)
    }
}

fn equality(input: &mut Tokens<'_>) -> Parsed<Op> {
    op.verify(|op: &Op| matches!(op, Op::Eq | Op::Ne)).parse_next(input)
}

/// What stands behind one of ss's words, its backslashes kept, and whether it is the bare word `null`.
fn operand(input: &mut Tokens<'_>, expected: &str) -> Parsed<(String, bool, TextPlace)> {
    let (text, quoted, place) = text(input).map_err(|_: ErrMode<Wrong>| wrong(input, expected))?;
    Ok((text.to_owned(), !quoted && text == "null", place))
}
