//! The words and signs of an expression.

use super::{Mistake, Op, TextPlace};
use winnow::ascii::multispace0;
use winnow::combinator::{alt, delimited, preceded, repeat};
use winnow::error::{ContextError, ParserError};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Stream, TokenSlice};
use winnow::token::{any, none_of, one_of, take_while};

/// A word or sign, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub place: TextPlace,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TokenKind {
    Open,
    Close,
    And,
    Or,
    Not,
    Op(Op),
    /// A bare word, or a text in quotes, which is never a keyword. Backslashes are still there.
    Word {
        text: String,
        quoted: bool,
    },
}

/// Characters that end a bare word.
const SIGNS: &str = "()=<>!~&|'\"";

type LocatedText<'a> = LocatingSlice<&'a str>;

/// An operator whose signs are in the wrong order, and the right one.
struct WrongOrder {
    written: &'static str,
    meant: &'static str,
}

const WRONG_ORDER: [WrongOrder; 2] =
    [WrongOrder { written: "=>", meant: ">=" }, WrongOrder { written: "=<", meant: "<=" }];

/// The tokens of the whole text.
///
/// # Errors
/// A [`Mistake`] where a text in quotes has no end, or an operator has its signs in the wrong order.
pub fn tokens(expression: &str) -> Result<Vec<Token>, Mistake> {
    let mut text = LocatingSlice::new(expression);
    let mut tokens: Vec<Token> = Vec::new();
    loop {
        let _: Result<&str, ContextError> = multispace0.parse_next(&mut text);
        if text.is_empty() {
            return Ok(tokens);
        }
        if let Some(order) = WRONG_ORDER.into_iter().find(|order| text.starts_with(order.written)) {
            let start = expression.len() - text.len();
            let place = TextPlace { start, end: start + order.written.len() };
            let what = format!("there is no operator `{}'", order.written);
            return Err(Mistake { expression: expression.to_owned(), place, what, nearest: Some(order.meant) });
        }
        let begin = text.checkpoint();
        let kind: Result<(TokenKind, std::ops::Range<usize>), ContextError> = token.with_span().parse_next(&mut text);
        match kind {
            Ok((kind, span)) => tokens.push(Token { kind, place: TextPlace { start: span.start, end: span.end } }),
            Err(_) => {
                text.reset(&begin);
                let start = expression.len() - text.len();
                let place = TextPlace { start, end: expression.len() };
                let what = match text.starts_with('\\') {
                    true => "a backslash takes the sign after it for a letter, and there is none".into(),
                    false => "a text in quotes has no end: close it with the quote it begins with".into(),
                };
                return Err(Mistake { expression: expression.to_owned(), place, what, nearest: None });
            }
        }
    }
}

fn token(text: &mut LocatedText<'_>) -> Result<TokenKind, ContextError> {
    let sign = alt((
        "(".value(TokenKind::Open),
        ")".value(TokenKind::Close),
        alt(("&&", "&")).value(TokenKind::And),
        alt(("||", "|")).value(TokenKind::Or),
        "!=".value(TokenKind::Op(Op::Ne)),
        "!~".value(TokenKind::Op(Op::NoMatch)),
        "!".value(TokenKind::Not),
        alt(("==", "=")).value(TokenKind::Op(Op::Eq)),
    ));
    let order = alt((
        "<=".value(TokenKind::Op(Op::Le)),
        ">=".value(TokenKind::Op(Op::Ge)),
        "<".value(TokenKind::Op(Op::Lt)),
        ">".value(TokenKind::Op(Op::Gt)),
        "~".value(TokenKind::Op(Op::Match)),
    ));
    alt((sign, order, quoted('\''), quoted('"'), bare)).parse_next(text)
}

/// A bare word; a backslash takes the sign after it for a letter.
fn bare(text: &mut LocatedText<'_>) -> Result<TokenKind, ContextError> {
    let letters = take_while(1.., |letter: char| !letter.is_whitespace() && letter != '\\' && !SIGNS.contains(letter));
    let escaped = ('\\', any).take();
    let word: String = repeat(1.., alt((letters, escaped))).parse_next(text)?;
    Ok(TokenKind::Word { text: word, quoted: false })
}

/// A text between two of these quotes. A backslash before the quote takes it for a letter; other backslashes mean something later.
fn quoted<'a>(quote: char) -> impl Parser<LocatedText<'a>, TokenKind, ContextError> {
    let letter = alt((
        preceded('\\', one_of(quote)).map(String::from),
        ('\\', any).take().map(String::from),
        none_of(['\\', quote]).map(String::from),
    ));
    let text = repeat(0.., letter).fold(String::new, |mut text, part: String| {
        text.push_str(&part);
        text
    });
    delimited(quote, text, quote).map(|text| TokenKind::Word { text, quoted: true })
}

/// The tokens, as the grammar reads them.
pub type Tokens<'t> = TokenSlice<'t, Token>;

/// What is wrong, before it is known in which text.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// How many tokens were left, so the further of two branches is known.
    pub left: usize,
    /// Where, `None` at the end.
    pub place: Option<TextPlace>,
    /// What.
    pub what: String,
    /// The word that was probably meant.
    pub nearest: Option<&'static str>,
}

impl<'t> ParserError<Tokens<'t>> for Wrong {
    type Inner = Self;

    fn from_input(input: &Tokens<'t>) -> Self {
        Self { left: input.len(), place: input.first().map(|token| token.place), what: String::new(), nearest: None }
    }

    /// The branch that came further knows better.
    fn or(self, other: Self) -> Self {
        if self.left < other.left { self } else { other }
    }

    fn into_inner(self) -> Result<Self::Inner, Self> {
        Ok(self)
    }
}
