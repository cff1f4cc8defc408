//! What is wrong with an expression, and where.

use super::TextPlace;
use std::fmt;
use unicode_width::UnicodeWidthStr;

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// The whole text.
    pub expression: String,
    /// Where it goes wrong.
    pub place: TextPlace,
    /// What stands there instead of what should, as a sentence without its full stop.
    pub what: String,
    /// The word that was probably meant.
    pub nearest: Option<&'static str>,
}

/// A name in an expression that means nothing here.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{what}")]
pub struct NameError {
    /// Where it stands.
    pub place: TextPlace,
    /// What is wrong with it.
    pub what: String,
    /// Whether it may well mean something, and this process may not look.
    pub denied: bool,
}

impl NameError {
    /// With the expression it stands in.
    pub fn within(self, expression: &str) -> Mistake {
        Mistake { expression: expression.to_owned(), place: self.place, what: self.what, nearest: None }
    }
}

impl std::error::Error for Mistake {}

impl fmt::Display for Mistake {
    /// Three lines, or four: what is wrong, the expression, a mark below the place, the word that was probably meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| -> String {
            text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
        };
        let before = self.expression.get(..self.place.start).unwrap_or(&self.expression);
        let marked = self.expression.get(self.place.start..self.place.end).unwrap_or_default();
        // Letters of some scripts take two columns, accents of their own none.
        let blanks = " ".repeat(shown(before).width());
        let marks = "^".repeat(shown(marked).width().max(1));
        write!(f, "{}\n  {}\n  {blanks}{marks}", self.what, shown(&self.expression))?;
        match self.nearest {
            Some(nearest) => write!(f, "\ndid you mean `{nearest}'?"),
            None => Ok(()),
        }
    }
}
