//! Words and numbers of /proc files.

/// The words of a line, blanks and tabs between them.
pub fn of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// A hexadecimal number of 1 to `DIGITS` (at most 8) digits.
pub fn hex<const DIGITS: usize>(word: &[u8]) -> Option<u32> {
    if word.is_empty() || word.len() > DIGITS {
        return None;
    }
    word.iter().try_fold(0u32, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

/// A whole decimal number, saturated at the ends of 64 bits.
pub fn decimal(word: &[u8]) -> Option<i64> {
    let (negative, digits) = match word.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value =
        digits.iter().fold(0i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some(if negative { -value } else { value })
}

/// A whole decimal number without sign, saturated at the end of 64 bits.
pub fn unsigned(word: &[u8]) -> Option<u64> {
    let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    is_number.then(|| fitting(word).unwrap_or(u64::MAX))
}

/// A whole decimal number without sign that fits into 64 bits.
pub fn fitting(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(of(b" a\tb  c\n").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
        assert_eq!(hex::<8>(b"fFfFfFfF"), Some(u32::MAX));
        assert_eq!((hex::<2>(b"100"), hex::<2>(b""), hex::<8>(b"-1")), (None, None, None));
        assert_eq!(decimal(b"-42"), Some(-42));
        assert_eq!(decimal(b"99999999999999999999"), Some(i64::MAX));
        assert_eq!((unsigned(b"18446744073709551616"), fitting(b"18446744073709551616")), (Some(u64::MAX), None));
        assert_eq!((unsigned(b"7"), fitting(b"7"), unsigned(b"7x"), fitting(b"")), (Some(7), Some(7), None, None));
        assert_eq!((decimal(b"-"), decimal(b"1a"), decimal(b"")), (None, None, None));
    }
}
