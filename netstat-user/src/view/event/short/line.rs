//! A line and its pieces, measured in columns.

use crate::model::width::width as columns;
use crate::view::colour::{Role, paint};
use crate::view::text::number;

/// Pieces of text, each in its role, before it is known whether they fit.
#[derive(Clone, Debug, Default)]
pub struct ShortCells {
    text: Vec<u8>,
    ends: Vec<(Role, usize)>,
}

impl ShortCells {
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    pub fn put(&mut self, role: Role, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.ends.push((role, self.text.len()));
    }

    pub fn number(&mut self, value: impl itoa::Integer) {
        number(&mut self.text, value);
        self.ends.push((Role::Data, self.text.len()));
    }

    pub fn append(&mut self, other: &Self) {
        let start = self.text.len();
        self.text.extend_from_slice(&other.text);
        self.ends.extend(other.ends.iter().map(|&(role, end)| (role, start + end)));
    }

    /// A blank and a word, and its value behind another blank.
    pub fn labelled(label: &str, value: &str) -> Self {
        let mut cells = Self::default();
        cells.put(Role::Own, format!(" {label} ").as_bytes());
        cells.put(Role::Data, value.as_bytes());
        cells
    }

    /// The same behind a blank.
    pub fn behind_blank(&self) -> Self {
        let mut cells = Self::default();
        cells.put(Role::Own, b" ");
        cells.append(self);
        cells
    }

    /// Gives all pieces this role.
    pub fn set_role(&mut self, role: Role) {
        self.ends.iter_mut().for_each(|(old, _)| *old = role);
    }

    pub fn columns(&self) -> usize {
        columns(&self.text)
    }

    fn paint(&self, out: &mut Vec<u8>, coloured: bool) {
        let mut start = 0;
        for &(role, end) in &self.ends {
            paint(out, coloured, role, &self.text[start..end]);
            start = end;
        }
    }
}

/// Columns that some pieces take in a row.
pub fn width(pieces: &[ShortCells]) -> usize {
    pieces.iter().map(ShortCells::columns).sum()
}

/// A line being written.
pub struct ShortLine<'a> {
    pub out: &'a mut Vec<u8>,
    pub coloured: bool,
    /// Columns so far.
    pub at: usize,
}

impl ShortLine<'_> {
    pub fn put(&mut self, role: Role, text: &[u8]) {
        paint(self.out, self.coloured, role, text);
        self.at += columns(text);
    }

    pub fn cells(&mut self, cells: &ShortCells) {
        cells.paint(self.out, self.coloured);
        self.at += cells.columns();
    }

    /// Blanks up to a column.
    pub fn to(&mut self, column: usize) {
        let blanks = column.saturating_sub(self.at);
        self.out.resize(self.out.len() + blanks, b' ');
        self.at += blanks;
    }

    pub fn column(&mut self, role: Role, text: &[u8], width: usize) {
        let end = self.at + width;
        self.put(role, text);
        self.to(end);
        self.gap();
    }

    pub fn gap(&mut self) {
        self.out.push(b' ');
        self.at += 1;
    }

    /// Pieces that begin with a blank, on as many lines below as they need.
    pub fn below(&mut self, pieces: &[ShortCells], indent: usize, limit: usize) {
        let mut begins = true;
        for piece in pieces {
            if piece.columns() == 0 {
                continue;
            }
            if begins || self.at + piece.columns() > limit {
                self.trim();
                self.out.push(b'\n');
                self.at = 0;
                self.to(indent - 1);
                begins = false;
            }
            self.cells(piece);
        }
    }

    /// Takes blanks at the end away.
    fn trim(&mut self) {
        while self.out.last() == Some(&b' ') {
            self.out.pop();
        }
    }

    pub fn end(mut self) {
        self.trim();
        self.out.push(b'\n');
    }
}
