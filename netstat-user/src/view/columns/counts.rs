//! Counts of rows or events, by the values of some columns.

use super::{Cells, ColumnTable, Kept, Shape, cells};
use crate::field::Column;
use crate::view::json::Object;

/// How counts are shown.
#[derive(Clone, Copy, Debug)]
pub struct CountStyle {
    /// As objects, and not under a heading.
    pub json: bool,
    /// Whether the table is coloured.
    pub coloured: bool,
    /// The width of the terminal that the table is to fit.
    pub terminal: Option<usize>,
}

/// Appends counts, each with the values that were counted.
pub fn counts(out: &mut Vec<u8>, columns: &[Column], counted: impl Iterator<Item = (Kept, u64)>, style: CountStyle) {
    if style.json {
        let shape = Shape::new(columns);
        for (values, count) in counted {
            let mut object = Object::begin(out);
            object.number("count", count);
            shape.fill(&mut object, &values);
            object.end();
        }
        return;
    }
    let row = |(values, count): (Kept, u64)| {
        let mut row = vec![count.to_string().into_bytes()];
        row.extend(cells(columns, &values));
        row
    };
    let rows: Vec<Cells> = counted.map(row).collect();
    ColumnTable::counted(columns, style.coloured).print(out, &rows, style.terminal);
}
