//! Text of the outside world with what drives a terminal, or cannot be seen, made visible.

use std::borrow::Cow;

/// Characters that change the direction or order of those around them, or end a line for some: U+061C, U+200E to U+200F, U+2028 to U+202E,
/// U+2066 to U+2069 (UAX #9, "Explicit directional characters").
const fn rearranges(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that show as nothing, or as a blank of whatever width, besides [`char::is_whitespace`]: those that Unicode calls
/// `Default_Ignorable_Code_Point`, the interlinear marks, and the blank pattern of Braille.
const fn is_unseen(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Text of the outside world in a column of netstat's, with its control characters made visible (`\n`, `\x1b`), those included that rearrange what
/// is beside them, so that a name can neither break a row nor drive the terminal, nor show as another one. Other bytes, valid UTF-8 or not, stay.
pub fn escape(text: &[u8]) -> Cow<'_, [u8]> {
    // The second half of control characters, C1, is two bytes in UTF-8 and one in Latin-1; such bytes are in harmless
    // letters too.
    let is_c1 = |byte: u8| (0x80..=0x9f).contains(&byte);
    if !text.iter().any(|&byte| byte.is_ascii_control() || is_c1(byte)) {
        return Cow::Borrowed(text);
    }
    show(text, |letter| letter.is_control() || rearranges(letter), is_c1)
}

/// Text of the outside world in a sentence of our own: besides, what cannot be seen is shown, and bytes that are no UTF-8.
pub fn escape_text(text: &[u8]) -> Cow<'_, [u8]> {
    if text.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return Cow::Borrowed(text);
    }
    show(text, |letter| letter != ' ' && is_special(letter), |_| true)
}

/// A message of our own, in lines: what could drive a terminal in it is made visible.
pub fn escape_lines(message: &str) -> String {
    let lines = message.split('\n').map(|line| String::from_utf8_lossy(&escape_text(line.as_bytes())).into_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// The same for a name in a column of our own views: its blanks are shown, too, so that it cannot pass for the next column.
pub fn escape_word(text: &[u8]) -> Cow<'_, [u8]> {
    if text.iter().all(u8::is_ascii_graphic) {
        return Cow::Borrowed(text);
    }
    show(text, is_special, |_| true)
}

fn is_special(letter: char) -> bool {
    letter.is_whitespace() || misleads(letter)
}

/// Whether a character drives a terminal, rearranges what is beside it, or cannot be seen.
pub fn misleads(letter: char) -> bool {
    letter.is_control() || rearranges(letter) || is_unseen(letter)
}

/// Writes the bytes of some letters, and some of the bytes that are no letters, as `\xNN` or shorter.
fn show(text: &[u8], letters: impl Fn(char) -> bool, others: impl Fn(u8) -> bool) -> Cow<'_, [u8]> {
    let mut out = Vec::with_capacity(text.len() + 8);
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let mut bytes = [0; 4];
            let bytes = letter.encode_utf8(&mut bytes).as_bytes();
            match letter {
                ' ' if letters(letter) => out.extend_from_slice(b"\\x20"),
                _ if letters(letter) => out.extend(bytes.escape_ascii()),
                _ => out.extend_from_slice(bytes),
            }
        }
        for &byte in chunk.invalid() {
            if others(byte) {
                out.extend(byte.escape_ascii());
            } else {
                out.push(byte);
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(escape(b"eth0"), Cow::Borrowed(b"eth0"));
        assert_eq!(escape(b"a\x1b[2J\n\t\x7f\xff\\"), Cow::<[u8]>::Owned(b"a\\x1b[2J\\n\\t\\x7f\xff\\".to_vec()));
        assert_eq!(escape(b"\xc2\x9bA \x9bB \xc3\x96").as_ref(), b"\\xc2\\x9bA \\x9bB \xc3\x96");
    }

    #[test]
    fn what_rearranges_text_is_shown() {
        for letter in ['\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}', '\u{2028}'] {
            let shown = escape(format!("a{letter}b").as_bytes()).into_owned();
            assert!(shown.is_ascii() && shown.starts_with(b"a\\x"), "{shown:?}");
        }
        assert_eq!(escape("a‐b é".as_bytes()), Cow::Borrowed("a‐b é".as_bytes()));
        assert_eq!(escape_word(b"sh created  uid=0").as_ref(), b"sh\\x20created\\x20\\x20uid=0");
        assert_eq!(escape_word(b"sh"), Cow::Borrowed(b"sh"));
    }

    #[test]
    fn our_own_views_show_what_cannot_be_seen_and_what_is_no_text() {
        for letter in
            "\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{3164}\u{2800}\u{e0020}\u{202e}\u{1b}\u{a0}\u{3000}\u{2003}"
                .chars()
        {
            let name = format!("a{letter}b");
            for shown in [escape_text(name.as_bytes()), escape_word(name.as_bytes())] {
                assert!(shown.is_ascii() && shown.starts_with(b"a\\x") && shown.ends_with(b"b"), "{shown:?}");
            }
        }
        assert_eq!(escape_word(b"a\xff\xfe b").as_ref(), b"a\\xff\\xfe\\x20b");
        assert_eq!(escape_text(b"a\xff b").as_ref(), b"a\\xff b");
        assert_eq!(escape_lines("a\x1b[31m\n  b\t\n"), "a\\x1b[31m\n  b\\t\n");
        assert_eq!(escape_word("längst‐é日本".as_bytes()).as_ref(), "längst‐é日本".as_bytes());
        // In netstat's columns they stay as netstat prints them.
        assert_eq!(escape("a\u{200b} \u{a0}".as_bytes()).as_ref(), "a\u{200b} \u{a0}".as_bytes());
    }
}
