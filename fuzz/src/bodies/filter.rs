//! Expressions: any text is one, and prints as one that reads the same, or is refused at a place within it.

use netstat_user::field::RowKinds;
use netstat_user::filter::parse;

/// Reads the bytes as an expression over the rows of the tables.
///
/// # Panics
/// When the text is neither.
pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let rows = RowKinds::INET.or(RowKinds::UNIX).or(RowKinds::EVENT);
    match parse(text, rows) {
        Ok(expr) => {
            let printed = expr.to_string();
            assert_eq!(parse(&printed, rows).as_ref(), Ok(&expr), "{printed}");
        }
        Err(mistake) => {
            assert!(mistake.place.start <= mistake.place.end);
            assert!(!mistake.to_string().is_empty());
        }
    }
}
