//! Lines of columns as they come, below their heading.

use crate::view::columns::{Cells, ColumnTable};

/// A table whose rows come one by one.
pub struct ColumnLines {
    /// As wide as all rows so far need.
    whole: ColumnTable,
    /// The same within the terminal, which has so many columns.
    fitted: ColumnTable,
    terminal: Option<u16>,
    headed: bool,
}

impl ColumnLines {
    /// Without a line so far.
    pub fn new(table: ColumnTable) -> Self {
        Self { fitted: table.clone(), whole: table, terminal: None, headed: false }
    }

    /// Appends a line, and before the first the heading.
    pub fn row(&mut self, out: &mut Vec<u8>, cells: &Cells, terminal: Option<u16>) {
        if !self.whole.has_room(cells) || !self.headed || terminal != self.terminal {
            self.whole.widen(cells);
            (self.fitted, self.terminal) = (self.whole.clone(), terminal);
            terminal.into_iter().for_each(|terminal| self.fitted.fit(terminal.into()));
        }
        if !std::mem::replace(&mut self.headed, true) {
            self.fitted.heading(out);
        }
        self.fitted.row(out, cells);
    }
}
