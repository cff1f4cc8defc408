//! English and German words, by locale.
//!
//! A view asks for a text by its English form, byte for byte net-tools' msgid: `lang.text("Kernel IP routing table\n")`.
//! To make a text of one's own speak German, add its row to [`german::WORDS`]; nothing else knows the words.
//!
//! Which language it is and in which bytes are decided outside ([`needs_locale`], [`is_german`], [`Lang::german`]), from
//! what setlocale(3) says: this room makes no system calls.

mod german;

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;

/// The words of one language, in the charset of the reader's terminal.
#[derive(Clone, Debug)]
pub struct Lang {
    /// German texts parallel to [`german::WORDS`], `None` for English.
    german: Option<Vec<Cow<'static, [u8]>>>,
    /// What stands between whole seconds and their hundredths (`LC_NUMERIC`).
    decimal_point: Cow<'static, [u8]>,
}

impl Lang {
    /// English, with a decimal point: the C locale.
    pub const ENGLISH: Self = Self { german: None, decimal_point: Cow::Borrowed(b".") };

    /// German in UTF-8, with a decimal comma.
    pub fn german_utf8() -> Self {
        let german = german::WORDS.iter().map(|(_, text)| Cow::Borrowed(text.as_bytes())).collect();
        Self { german: Some(german), decimal_point: Cow::Borrowed(b",") }
    }

    /// German in another charset, with a decimal comma. `convert` turns UTF-8 into that charset, `None` where it cannot;
    /// such a text stays English, as gettext does it.
    pub fn german(mut convert: impl FnMut(&str) -> Option<Vec<u8>>) -> Self {
        let german = german::WORDS
            .iter()
            .map(|(english, text)| convert(text).map_or(Cow::Borrowed(english.as_bytes()), Cow::Owned))
            .collect();
        Self { german: Some(german), decimal_point: Cow::Borrowed(b",") }
    }

    /// The same words with another decimal point: `LC_NUMERIC` is its own choice.
    #[must_use]
    pub fn with_decimal_point(self, point: Vec<u8>) -> Self {
        Self { decimal_point: Cow::Owned(point), ..self }
    }

    /// The text for an English one, which itself is the answer where there is no other.
    pub fn text<'a>(&'a self, english: &'a str) -> &'a [u8] {
        let Some(german) = &self.german else { return english.as_bytes() };
        match german::WORDS.binary_search_by(|(key, _)| key.cmp(&english)) {
            Ok(at) => &german[at],
            Err(_) => english.as_bytes(),
        }
    }

    /// The text for an English one, each `%` directive in it replaced by the next value. Widths and precisions in the
    /// directives are not obeyed: hand in values as they shall be shown. For messages, not for rows.
    pub fn fill(&self, english: &str, values: &[&dyn Display]) -> Vec<u8> {
        // Writing to memory does not fail.
        self.fill_with(english, values, |out, value| drop(write!(out, "{value}")))
    }

    /// The same with values of bytes, which need be no text.
    pub fn fill_bytes(&self, english: &str, values: &[Vec<u8>]) -> Vec<u8> {
        self.fill_with(english, values, |out, value| out.extend_from_slice(value))
    }

    fn fill_with<T>(&self, english: &str, values: &[T], write: impl Fn(&mut Vec<u8>, &T)) -> Vec<u8> {
        let text = self.text(english);
        let mut out = Vec::with_capacity(text.len() + 16);
        let mut values = values.iter();
        let mut rest = text;
        while let Some(at) = rest.iter().position(|&b| b == b'%') {
            out.extend_from_slice(&rest[..at]);
            let end = rest[at + 1..].iter().position(|&b| b.is_ascii_alphabetic() && b != b'l');
            let end = end.map_or(rest.len(), |end| at + 1 + end + 1);
            match values.next() {
                Some(value) => write(&mut out, value),
                None => out.extend_from_slice(&rest[at..end]),
            }
            rest = &rest[end..];
        }
        out.extend_from_slice(rest);
        out
    }

    /// The locale's decimal point.
    pub fn decimal_point(&self) -> &[u8] {
        &self.decimal_point
    }
}

/// Whether the environment asks for anything but English with a decimal point, so that setlocale(3) must be asked.
/// `var` gives the value of an environment variable.
pub fn needs_locale(var: impl Fn(&str) -> Option<Vec<u8>>) -> bool {
    let set = |name: &str| var(name).filter(|value| !value.is_empty());
    let category = |name: &str| set("LC_ALL").or_else(|| set(name)).or_else(|| set("LANG"));
    let plain = |value: Option<Vec<u8>>, also: &[&[u8]]| {
        value.is_none_or(|value| {
            let language = value.split(|&b| b == b'.').next().unwrap_or_default();
            matches!(language, b"C" | b"POSIX") || also.contains(&language)
        })
    };
    // LANGUAGE counts wherever the messages are in any locale but the bare C, C.UTF-8 included. Not every English has a
    // decimal point: those listed are.
    let language = set("LANGUAGE").is_some() && category("LC_MESSAGES").is_some();
    language
        || !plain(category("LC_MESSAGES"), &[b"en_US", b"en_GB"])
        || !plain(category("LC_NUMERIC"), &[b"en_US", b"en_GB"])
}

/// Whether gettext would print our German: `messages` is the name of the `LC_MESSAGES` locale that setlocale(3) has put
/// into force, `language` the environment's `LANGUAGE`, a list by preference. Languages before German in that list count
/// as not translated.
pub fn is_german(messages: &[u8], language: Option<&[u8]>) -> bool {
    if messages == b"C" || messages == b"POSIX" {
        return false;
    }
    let list = language.filter(|list| !list.is_empty()).unwrap_or(messages);
    for locale in list.split(|&b| b == b':') {
        match locale.split(|b| b"_.@".contains(b)).next().unwrap_or_default() {
            b"C" | b"POSIX" if locale.len() <= 5 => return false,
            // The long names are glibc's aliases (locale.alias).
            b"de" | b"deutsch" | b"german" => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_and_differ() {
        assert!(german::WORDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(german::WORDS.iter().all(|(english, german)| english != german));
    }

    #[test]
    fn texts_by_language() {
        let (english, german) = (Lang::ENGLISH, Lang::german_utf8());
        assert_eq!(english.text("ESTABLISHED"), b"ESTABLISHED");
        assert_eq!(german.text("ESTABLISHED"), b"VERBUNDEN");
        assert_eq!(german.text("LISTENING"), "HÖRT".as_bytes());
        assert_eq!(german.text("LISTEN"), b"LISTEN");
        assert_eq!(
            german.fill("Unknown address family `%s'.\n", &[&"foo"]),
            "Unbekannte Adressfamilie »foo«.\n".as_bytes()
        );
        assert_eq!(german.fill("off (0.00/%ld/%d)", &[&1, &2]), b"aus (0.00/1/2)");
        assert_eq!(english.fill("on (%2.2f/%ld/%d)", &[&"1.50", &1]), b"on (1.50/1/%d)");
        assert_eq!(english.fill("100%", &[]), b"100%");
        assert_eq!(
            german.fill_bytes("Unknown address family `%s'.\n", &[b"\xff".to_vec()])[..28],
            *b"Unbekannte Adressfamilie \xc2\xbb\xff"
        );
        assert_eq!(german.decimal_point(), b",");
        assert_eq!(german.with_decimal_point(b".".to_vec()).decimal_point(), b".");
    }

    #[test]
    fn a_charset_without_umlauts() {
        let lang = Lang::german(|text| text.is_ascii().then(|| text.as_bytes().to_vec()));
        assert_eq!(lang.text("LISTENING"), b"LISTENING");
        assert_eq!(lang.text("CONNECTED"), b"VERBUNDEN");
    }

    #[test]
    fn language_as_gettext_chooses() {
        for (messages, language, german) in [
            ("C", None, false),
            ("C", Some("de"), false),
            ("C.UTF-8", None, false),
            ("C.UTF-8", Some("de"), true),
            ("de_DE.UTF-8", None, true),
            ("de_DE.UTF-8", Some(""), true),
            ("de_AT@euro", None, true),
            ("german", None, true),
            ("de_DE.UTF-8", Some("en"), false),
            ("en_US.UTF-8", Some("en:de"), true),
            ("en_US.UTF-8", Some("C:de"), false),
            ("den_XX", None, false),
        ] {
            assert_eq!(is_german(messages.as_bytes(), language.map(str::as_bytes)), german, "{messages} {language:?}");
        }
    }

    #[test]
    fn plain_environments_ask_nobody() {
        let needs = |vars: &[(&str, &str)]| {
            needs_locale(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_bytes().to_vec()))
        };
        assert!(!needs(&[]));
        assert!(!needs(&[("LANGUAGE", "de")]));
        assert!(!needs(&[("LANG", "C.UTF-8")]));
        assert!(!needs(&[("LANG", "en_US.UTF-8")]));
        assert!(!needs(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")]));
        assert!(needs(&[("LANG", "C.UTF-8"), ("LANGUAGE", "de")]));
        assert!(needs(&[("LANG", "en_ZA.UTF-8")]));
        assert!(needs(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "")]));
        assert!(needs(&[("LC_NUMERIC", "de_DE.UTF-8")]));
    }
}
