//! What `--columns help` prints.

use crate::field::{FIELDS, RowKinds, groups};
use crate::model::width::wrap;
use crate::view::text::fill;

/// The kinds of rows, by a letter each.
const ROWS: [(RowKinds, u8, &str); 4] = [
    (RowKinds::INET.or(RowKinds::SCTP), b'i', "Internet sockets"),
    (RowKinds::UNIX, b'u', "UNIX domain sockets"),
    (RowKinds::CLOSED, b'c', "closed ones (--recent)"),
    (RowKinds::EVENT.or(RowKinds::LIFE), b'e', "events"),
];

/// Blanks between two columns.
const GAP: usize = 2;
/// Columns that a meaning has at least, however narrow the terminal.
const LEAST: usize = 20;

/// Appends every field that such rows have, with its type, the rows that have it where these are of several kinds, and its meaning, in lines of
/// `width` columns.
pub fn help(out: &mut Vec<u8>, rows: RowKinds, width: usize) {
    let kinds = ROWS.into_iter().filter(|(kinds, ..)| kinds.meets(rows));
    let several = kinds.clone().count() > 1;
    let letters = |have: RowKinds| -> String {
        let letter = |(kinds, letter, _): (RowKinds, u8, &str)| if have.meets(kinds) { letter.into() } else { '-' };
        kinds.clone().map(letter).collect()
    };
    let mut lines = vec![["field", "type", "rows", "meaning"].map(str::to_owned)];
    let specs = FIELDS.iter().filter(|spec| spec.rows().meets(rows));
    lines
        .extend(specs.map(|spec| {
            [spec.name.to_owned(), spec.kind.name().to_owned(), letters(spec.rows()), spec.doc.to_owned()]
        }));
    let shown = |at: usize| several || at != 2;
    let widths = [0, 1, 2].map(|at| lines.iter().map(|line| line[at].len()).max().unwrap_or(0));
    let indent = (0..widths.len()).filter(|&at| shown(at)).map(|at| widths[at] + GAP).sum::<usize>();
    for line in &lines {
        for (at, cell) in line[..widths.len()].iter().enumerate().filter(|(at, _)| shown(*at)) {
            out.extend_from_slice(cell.as_bytes());
            fill(out, widths[at] + GAP - cell.len());
        }
        wrap(out, line[widths.len()].as_bytes(), indent, indent, width.max(indent + LEAST));
        out.push(b'\n');
    }
    let groups: Vec<&str> = groups(rows).collect();
    let mut notes = vec![format!("A column may also be a group of fields: {}.", groups.join(", "))];
    if several {
        let named = kinds.map(|(_, letter, name)| format!("{} {name}", char::from(letter)));
        notes.push(format!("rows: {}.", named.collect::<Vec<_>>().join(", ")));
    }
    for note in notes {
        out.push(b'\n');
        wrap(out, note.as_bytes(), 0, 0, width.max(LEAST));
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rows: RowKinds, width: usize) -> String {
        let mut out = Vec::new();
        help(&mut out, rows, width);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_fit_and_every_field_begins_one() {
        for rows in [RowKinds::ALL, RowKinds::EVENT.or(RowKinds::LIFE)] {
            for width in [80, 100, 120, 200] {
                let text = shown(rows, width);
                assert!(text.lines().all(|line| line.len() <= width && !line.ends_with(' ')), "{width}:\n{text}");
                for spec in FIELDS.iter().filter(|spec| spec.rows().meets(rows)) {
                    let begins = |line: &&str| line.starts_with(&format!("{} ", spec.name));
                    assert_eq!(text.lines().filter(begins).count(), 1, "{}:\n{text}", spec.name);
                }
            }
        }
    }

    #[test]
    fn no_other_kind_of_rows_is_mentioned() {
        let text = shown(RowKinds::EVENT.or(RowKinds::LIFE), 80);
        assert!(text.contains("old_state") && !text.contains("recv_q") && !text.contains("rows"), "{text}");
        assert!(
            text.ends_with("A column may also be a group of fields: local, remote, owners, closed_by,\nstates.\n"),
            "{text}"
        );
        let text = shown(RowKinds::ALL, 80);
        assert!(text.contains("\npid                     number         iuce  process"), "{text}");
    }
}
