//! What is wrong with an expression, and where.

use super::TextPlace;
use crate::model::visible::escape_text;
use crate::model::width::{cut, width};
use std::fmt;

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
        let shown = |text: &str| String::from_utf8_lossy(&escape_text(text.as_bytes())).into_owned();
        let before = shown(self.expression.get(..self.place.start).unwrap_or(&self.expression));
        let marked = shown(self.expression.get(self.place.start..self.place.end).unwrap_or_default());
        let after = shown(self.expression.get(self.place.end..).unwrap_or_default());
        let Window { before, marked, after } = Window::of(&before, &marked, &after);
        // Letters of some scripts take two columns, accents of their own none.
        let blanks = " ".repeat(width_of(&before));
        let marks = "^".repeat(width_of(&marked).max(1));
        write!(f, "{}\n  {before}{marked}{after}\n  {blanks}{marks}", self.what)?;
        match self.nearest {
            Some(nearest) => write!(f, "\ndid you mean `{nearest}'?"),
            None => Ok(()),
        }
    }
}

/// Columns that an expression has beside a mark, within the 80 of a terminal.
const COLUMNS: usize = 76;
/// Columns of them that stand before the mark where the expression is longer.
const BEFORE: usize = 30;
/// What stands for what is left out.
const CUT: &str = "...";

/// What of a long expression is shown: the place of the mistake, and what is around it. A line that wraps would have its mark below another word.
struct Window {
    before: String,
    marked: String,
    after: String,
}

impl Window {
    fn of(before: &str, marked: &str, after: &str) -> Self {
        if width_of(before) + width_of(marked) + width_of(after) <= COLUMNS {
            return Self { before: before.into(), marked: marked.into(), after: after.into() };
        }
        let marked = first(marked, COLUMNS - BEFORE);
        // Where little follows, more of what stands before is shown.
        let before_room = (COLUMNS - width_of(&marked)).saturating_sub(width_of(after)).max(BEFORE);
        let before = last(before, before_room);
        let after = first(after, COLUMNS.saturating_sub(width_of(&before) + width_of(&marked)));
        Self { before, marked, after }
    }
}

fn width_of(text: &str) -> usize {
    width(text.as_bytes())
}

/// A text, or its beginning, in so many columns.
fn first(text: &str, room: usize) -> String {
    String::from_utf8_lossy(&cut(text.as_bytes(), room, CUT)).into_owned()
}

/// A text, or its end, in so many columns.
fn last(text: &str, room: usize) -> String {
    let mut start = text.len();
    if width_of(text) <= room {
        return text.into();
    }
    for (at, _) in text.char_indices().rev() {
        if width_of(&text[at..]) + CUT.len() > room {
            break;
        }
        start = at;
    }
    format!("{CUT}{}", &text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(expression: &str, word: &str) -> Vec<String> {
        let start = expression.find(word).unwrap();
        let place = TextPlace { start, end: start + word.len() };
        let mistake = Mistake { expression: expression.into(), place, what: "no".into(), nearest: None };
        mistake.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_long_expression_is_shown_around_its_mistake() {
        let filler = "sport = :80 or ".repeat(20);
        for (before, after) in [(&*filler, "sport = :1"), ("", &*filler), (&*filler, &*filler), ("日本 ", &*filler)] {
            let expression = format!("{before}here = 1 and {after}");
            let said = lines(&expression, "here");
            assert_eq!(said.len(), 3, "{said:?}");
            assert!(said.iter().all(|line| width_of(line) <= 80), "{said:?}");
            let mark = said[2].find('^').unwrap();
            let column = width_of(said[1].split("here").next().unwrap());
            assert!(mark == column && said[2].trim() == "^^^^", "{said:?}");
        }
        let long = lines(&"x".repeat(200), &"x".repeat(200));
        assert!(long.iter().all(|line| line.len() <= 80), "{long:?}");
        assert_eq!(lines("here = 1", "here"), ["no", "  here = 1", "  ^^^^"]);
        assert_eq!(lines("\x1b[31mx here", "here"), ["no", "  \\x1b[31mx here", "            ^^^^"]);
    }
}
