//! Lines of columns as they come, below their heading.

use crate::view::columns::{Cells, ColumnTable};

/// A table whose rows come one by one.
pub struct ColumnLines {
    /// As wide as the first row and all texts so far need.
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
        if !self.headed {
            self.whole.widen(cells);
            self.fit(terminal);
            self.fitted.heading(out);
            self.headed = true;
        } else if !self.whole.has_room(cells) || terminal != self.terminal {
            self.whole.widen_texts(cells);
            let before = self.fitted.clone();
            self.fit(terminal);
            self.fitted.keep_times(&before);
        }
        self.fitted.row(out, cells);
    }

    fn fit(&mut self, terminal: Option<u16>) {
        (self.fitted, self.terminal) = (self.whole.clone(), terminal);
        terminal.into_iter().for_each(|terminal| self.fitted.fit(terminal.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Column, RowKinds};

    #[test]
    fn lines_below_one_heading_are_alike() {
        let columns = Column::parse_list("time,comm,local,remote,reason", RowKinds::EVENT).unwrap();
        let mut lines = ColumnLines::new(ColumnTable::new(&columns, false).roomy(&columns));
        let mut row = |local: &str, comm: &str| {
            let mut out = Vec::new();
            let cells = ["2026-01-02T03:04:05.678901234Z", comm, local, "127.0.0.1:80", "closed"];
            lines.row(&mut out, &cells.map(|cell| cell.as_bytes().to_vec()).to_vec(), Some(120));
            String::from_utf8(out).unwrap().lines().last().unwrap().to_owned()
        };
        let first = row("127.0.0.1:53812", "client");
        assert!(first.starts_with("2026-01-02T03:04:05.678901Z  client"), "{first}");
        let long = row("2001:db8:1234:5678:9abc:def0:1234:5672:45786", "client");
        assert!(
            long.starts_with("2026-01-02T03:04:05.678901Z  client") && long.contains(":5672:45786  127.0.0.1:80"),
            "{long}"
        );
        assert_eq!(row("127.0.0.1:53812", "client"), first, "the lines after it are as those before");
        assert!(
            row("127.0.0.1:53812", "日本語日本語日本語日本語日本語").starts_with("2026-01-02T03:04:05.678901Z  日本")
        );
    }
}
