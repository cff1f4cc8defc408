//! JSON Lines: one object per line, written as the values come.

use crate::model::visible::misleads;
use std::fmt::Display;
use std::io::Write;

/// An object being written; [`Object::end`] closes it and its line.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    /// Opens an object.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// A text; what is not UTF-8 in it becomes U+FFFD.
    pub fn string(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        string(self.out, value);
    }

    /// A whole number.
    pub fn number(&mut self, key: &str, value: impl Into<i128>) {
        self.raw(key, value.into());
    }

    /// A value, or `null`.
    pub fn optional<T: Display>(&mut self, key: &str, value: Option<T>) {
        match value {
            Some(value) => self.raw(key, value),
            None => self.raw(key, "null"),
        }
    }

    /// A text, or `null`.
    pub fn optional_string(&mut self, key: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.string(key, value),
            None => self.raw(key, "null"),
        }
    }

    /// A list of texts.
    pub fn strings<'b>(&mut self, key: &str, values: impl IntoIterator<Item = &'b [u8]>) {
        self.values(key, values, string);
    }

    /// A list, each value written by `write`.
    pub fn values<T>(&mut self, key: &str, values: impl IntoIterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
        self.key(key);
        self.out.push(b'[');
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            write(self.out, value);
        }
        self.out.push(b']');
    }

    /// Opens an object inside this one, to be closed with [`Object::close`].
    pub fn object(&mut self, key: &str) -> Object<'_> {
        self.key(key);
        Object::begin(self.out)
    }

    /// A list of objects, each filled by `write`.
    pub fn objects<T>(&mut self, key: &str, values: impl IntoIterator<Item = T>, write: impl Fn(&mut Object<'_>, T)) {
        self.values(key, values, |out, value| {
            let mut object = Object::begin(out);
            write(&mut object, value);
            object.close();
        });
    }

    /// Closes an object inside another.
    pub fn close(self) {
        self.out.push(b'}');
    }

    /// Closes the object and its line.
    pub fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    fn raw(&mut self, key: &str, value: impl Display) {
        self.key(key);
        // Writing to memory does not fail.
        let _ = write!(self.out, "{value}");
    }

    fn key(&mut self, key: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        string(self.out, key.as_bytes());
        self.out.push(b':');
    }
}

/// Writes a JSON string; what is not UTF-8 in it becomes U+FFFD.
pub fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\r' => out.extend_from_slice(b"\\r"),
            // On a terminal each of these would do, or hide, something; to a program it is the same character.
            _ if misleads(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// A name of the kernel in `snake_case`: `InDestUnreachs` → `in_dest_unreachs`, `TCPFullUndo` → `tcp_full_undo`,
/// `ReasmOKs` → `reasm_oks`.
pub fn snake_case(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for (at, &byte) in name.iter().enumerate() {
        let next = |ahead: usize| name.get(at + ahead).copied().unwrap_or(b'_');
        if byte.is_ascii_uppercase() && at > 0 {
            let before = name[at - 1];
            // The last capital of an acronym begins the next word; a lone small letter belongs to the acronym (`OKs`).
            let begins_word = next(1).is_ascii_lowercase() && next(2).is_ascii_lowercase();
            if before.is_ascii_lowercase() || before.is_ascii_digit() || before.is_ascii_uppercase() && begins_word {
                out.push('_');
            }
        }
        out.push(char::from(byte.to_ascii_lowercase()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.string("a", b"x\"\\\n\x1b\xff\x7f\xc2\x80\xc2\x9f\xc2\xa0");
        object.string("z", "\u{202e}\u{200b}\u{e0020} é".as_bytes());
        object.number("b", -1);
        object.optional("c", None::<u32>);
        object.optional("d", Some(2));
        object.strings("e", [b"p".as_slice(), b"q"]);
        object.strings("f", []);
        object.optional_string("g", None);
        let mut inner = object.object("h");
        inner.optional_string("i", Some(b"j"));
        inner.close();
        object.objects("k", [1u8, 2], |object, value| object.number("l", value));
        object.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"a\":\"x\\\"\\\\\\n\\u001b\u{fffd}\\u007f\\u0080\\u009f\u{a0}\",\"z\":\"\\u202e\\u200b\\udb40\\udc20 é\",\"b\":-1,\"c\":null,\"d\":2,\"e\":[\"p\",\"q\"],\"f\":[],\
             \"g\":null,\"h\":{\"i\":\"j\"},\"k\":[{\"l\":1},{\"l\":2}]}\n"
        );
    }

    #[test]
    fn names_in_snake_case() {
        for (name, snake) in [
            ("InDestUnreachs", "in_dest_unreachs"),
            ("TCPFullUndo", "tcp_full_undo"),
            ("ReasmOKs", "reasm_oks"),
            ("DelayedACKLocked", "delayed_ack_locked"),
            ("DelayedACKs", "delayed_acks"),
            ("InECT0Pkts", "in_ect0_pkts"),
            ("TW", "tw"),
            ("TCPDSACKOfoRecv", "tcpdsack_ofo_recv"),
            ("Ip6InReceives", "ip6_in_receives"),
            ("TCPSpuriousRTOs", "tcp_spurious_rtos"),
            ("DefaultTTL", "default_ttl"),
            ("TCPMD5NotFound", "tcpmd5_not_found"),
            ("PAWSOldAck", "paws_old_ack"),
            ("Icmp6InMLDv2Reports", "icmp6_in_mldv2_reports"),
        ] {
            assert_eq!(snake_case(name.as_bytes()), snake);
        }
    }
}
