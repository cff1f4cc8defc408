//! Columns that text takes on a terminal: letters of some scripts take two, accents of their own none.

use std::borrow::Cow;
use unicode_width::UnicodeWidthStr;

/// Columns of a text. Bytes that are no UTF-8 are shown as one letter.
pub fn width(text: &[u8]) -> usize {
    // A byte each: nearly all names and every address.
    if text.is_ascii() { text.len() } else { String::from_utf8_lossy(text).width() }
}

/// A text, or as much of its beginning as takes no more than so many columns together with `mark` behind it. Where there is no room for the mark
/// itself, there is none.
pub fn cut<'a>(text: &'a [u8], room: usize, mark: &str) -> Cow<'a, [u8]> {
    if width(text) <= room {
        return text.into();
    }
    let (left, mark) = match room.checked_sub(mark.width()) {
        Some(left) => (left, mark),
        None => (room, ""),
    };
    let text = String::from_utf8_lossy(text);
    let ends = text.char_indices().map(|(at, letter)| at + letter.len_utf8());
    // What belongs together may take more columns than its letters alone.
    let end = ends.take_while(|&end| width(&text.as_bytes()[..end]) <= left).last().unwrap_or(0);
    [&text.as_bytes()[..end], mark.as_bytes()].concat().into()
}

/// Words that begin in the column `at`, in lines of at most `limit` columns, each but the first behind `indent` blanks. A word that is longer
/// than a line stays whole.
pub fn wrap(out: &mut Vec<u8>, words: &[u8], mut at: usize, indent: usize, limit: usize) {
    for (number, word) in words.split(|&byte| byte == b' ').enumerate() {
        let columns = width(word);
        if number > 0 && at + 1 + columns > limit {
            out.push(b'\n');
            out.resize(out.len() + indent, b' ');
            at = indent;
        } else if number > 0 {
            out.push(b' ');
            at += 1;
        }
        out.extend_from_slice(word);
        at += columns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_counted_and_not_letters() {
        for (text, columns) in [("", 0), ("abc", 3), ("日本語", 6), ("längst", 6), ("e\u{301}", 1)] {
            assert_eq!(width(text.as_bytes()), columns, "{text}");
        }
        assert_eq!(width(b"a\xff"), 2);
    }

    #[test]
    fn texts_are_cut_within_their_room() {
        let said = |text: &str, room| String::from_utf8(cut(text.as_bytes(), room, "~").into_owned()).unwrap();
        assert_eq!(said("python3", 7), "python3");
        assert_eq!(said("python3", 6), "pytho~");
        assert_eq!(said("日本語日本", 10), "日本語日本");
        assert_eq!((said("日本語日本", 9), said("日本語日本", 8)), ("日本語日~".into(), "日本語~".into()));
        assert_eq!((said("日本", 1), said("日本", 0)), ("~".into(), String::new()));
        assert_eq!(cut(b"abcdef", 5, "...").as_ref(), b"ab...");
        assert_eq!(cut(b"abcdef", 2, "...").as_ref(), b"ab");
        for room in 0..12 {
            assert!(width(&cut("日本語 längst".as_bytes(), room, "~")) <= room, "{room}");
        }
    }

    #[test]
    fn words_are_wrapped() {
        let wrapped = |words: &str, width| {
            let mut out = b"x: ".to_vec();
            wrap(&mut out, words.as_bytes(), 3, 2, width);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(wrapped("äb cd efghijklmnop q", 8), "x: äb cd\n  efghijklmnop\n  q");
        assert_eq!(wrapped("ab  cd", usize::MAX), "x: ab  cd");
    }
}
