//! Errors of the kernel in words.

use std::io;

/// What the C library says of an error, in the user's language.
pub fn reason(error: &io::Error) -> String {
    without_numbers(&error.to_string())
}

/// A text without the numbers that Rust puts behind the kernel's words, as in `Operation not permitted (os error 1)`.
pub fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_have_no_numbers() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "No such file or directory");
        assert_eq!(reason(&io::Error::other("a word of our own")), "a word of our own");
    }
}
