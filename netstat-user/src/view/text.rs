//! Fixed-width text in bytes, as C's printf lays it out.

use std::borrow::Cow;

/// Text of the outside world with its control characters made visible (`\n`, `\x1b`), so that a name can neither break a
/// row nor drive the terminal. Other bytes, valid UTF-8 or not, stay.
pub fn escape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(u8::is_ascii_control) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    for &byte in text {
        if byte.is_ascii_control() {
            out.extend(byte.escape_ascii());
        } else {
            out.push(byte);
        }
    }
    Cow::Owned(out)
}

/// `%-{width}s`: bytes, not characters.
pub fn left(out: &mut Vec<u8>, text: &[u8], width: usize) {
    out.extend_from_slice(text);
    fill(out, width.saturating_sub(text.len()));
}

fn fill(out: &mut Vec<u8>, blanks: usize) {
    out.resize(out.len() + blanks, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(escape(b"eth0"), Cow::Borrowed(b"eth0"));
        assert_eq!(escape(b"a\x1b[2J\n\t\x7f\xff\\"), Cow::<[u8]>::Owned(b"a\\x1b[2J\\n\\t\\x7f\xff\\".to_vec()));
    }

    #[test]
    fn bytes_are_padded() {
        let mut out = Vec::new();
        left(&mut out, "HÖ".as_bytes(), 5);
        left(&mut out, b"longer", 3);
        assert_eq!(out, "HÖ  longer".as_bytes());
    }
}
