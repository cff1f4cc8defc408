//! Fixed-width text in bytes, as C's printf lays it out.

use crate::model::AddressText;
use crate::model::visible::escape_word;
use std::borrow::Cow;
use std::net::IpAddr;

/// A text as one word, which is neither nothing nor the dash of what is not known.
pub fn word(text: &[u8]) -> Cow<'_, [u8]> {
    match text {
        b"" => Cow::Borrowed(b"\"\""),
        b"-" => Cow::Borrowed(b"\\x2d"),
        _ => escape_word(text),
    }
}

/// What stands where the end of a name or a text is cut, as there is no room for it.
pub const CUT: &str = "~";

/// Formats into bytes, which does not fail.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {{
        use std::io::Write as _;
        drop(write!($out, $($text)*));
    }};
}
pub(crate) use put;

/// An address as netstat shows it: an IPv4-mapped one is its IPv4 address.
pub fn numeric(address: IpAddr) -> String {
    AddressText(address.to_canonical()).to_string()
}

/// Fills what was written since `start` with blanks, up to `width` bytes.
pub fn pad(out: &mut Vec<u8>, start: usize, width: usize) {
    if out.len() < start + width {
        out.resize(start + width, b' ');
    }
}

/// `%{width}d`: a number on the right.
pub fn right(out: &mut Vec<u8>, number: impl itoa::Integer, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    fill(out, width.saturating_sub(digits.len()));
    out.extend_from_slice(digits);
}

/// A number, as short as it is.
pub fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// `%-{width}s`: bytes, not characters.
pub fn left(out: &mut Vec<u8>, text: &[u8], width: usize) {
    out.extend_from_slice(text);
    fill(out, width.saturating_sub(text.len()));
}

/// So many blanks.
pub fn fill(out: &mut Vec<u8>, blanks: usize) {
    out.resize(out.len() + blanks, b' ');
}

/// How many there are, and of what: `1 event`, `2 events`. Where a verb depends on the number, it stands with the noun.
pub fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// A span of time for people, in nanoseconds: three digits, or two units.
pub fn span(ns: u64) -> String {
    let (micros, seconds) = (ns / 1_000, ns / 1_000_000_000);
    match ns {
        0..1_000_000 => format!("{micros}us"),
        1_000_000..1_000_000_000 => format!("{}.{}ms", micros / 1_000, micros / 100 % 10),
        1_000_000_000..60_000_000_000 => format!("{seconds}.{:02}s", micros / 10_000 % 100),
        60_000_000_000..3_600_000_000_000 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_numbers() {
        for (address, text) in [
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("::1.2.3.4", "::1.2.3.4"),
            ("::1:0", "::0.1.0.0"),
            ("::1", "::1"),
            ("::", "::"),
            ("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"),
        ] {
            assert_eq!(numeric(address.parse().unwrap()), text);
        }
    }

    #[test]
    fn one_is_no_several() {
        let said = [0, 1, 2].map(|count| counted(count, "event was", "events were"));
        assert_eq!(said, ["0 events were", "1 event was", "2 events were"]);
    }

    #[test]
    fn spans() {
        for (ns, text) in [
            (0, "0us"),
            (999_999, "999us"),
            (1_000_000, "1.0ms"),
            (999_999_999, "999.9ms"),
            (1_000_000_000, "1.00s"),
            (59_999_999_999, "59.99s"),
            (60_000_000_000, "1m00s"),
            (3_599_999_999_999, "59m59s"),
            (3_600_000_000_000, "1h00m"),
            (u64::MAX, "5124095h34m"),
        ] {
            assert_eq!(span(ns), text);
        }
    }

    #[test]
    fn bytes_are_padded() {
        let mut out = Vec::new();
        left(&mut out, "HÖ".as_bytes(), 5);
        left(&mut out, b"longer", 3);
        assert_eq!(out, "HÖ  longer".as_bytes());
    }
}
