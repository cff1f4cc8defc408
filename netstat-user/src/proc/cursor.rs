//! The little grammar of /proc's tables: runs of blanks, decimal and hexadecimal numbers.

/// A place in a line.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

/// Value of each hexadecimal digit, 255 for other bytes.
const HEX: [u8; 256] = {
    let mut values = [255; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

impl<'a> Cursor<'a> {
    /// At the start of `line`.
    pub const fn new(line: &'a [u8]) -> Self {
        Self { rest: line }
    }

    /// What has not been read.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Skips blanks, if any.
    pub fn blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Skips this byte.
    pub fn byte(&mut self, byte: u8) -> Option<()> {
        let (&first, rest) = self.rest.split_first()?;
        (first == byte).then(|| self.rest = rest)
    }

    /// A decimal number of at least one digit that fits 64 bits.
    pub fn decimal(&mut self) -> Option<u64> {
        let mut value = 0u64;
        let mut rest = self.rest;
        while let [digit @ b'0'..=b'9', after @ ..] = rest {
            value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            rest = after;
        }
        (rest.len() < self.rest.len()).then(|| {
            self.rest = rest;
            value
        })
    }

    /// A hexadecimal number of at least one digit that fits 64 bits.
    pub fn hex(&mut self) -> Option<u64> {
        let digits = self.hex_run();
        if digits.is_empty() {
            return None;
        }
        digits
            .iter()
            .try_fold(0u64, |value, &digit| (value >> 60 == 0).then(|| value << 4 | u64::from(HEX[usize::from(digit)])))
    }

    /// The hexadecimal digits that come next, maybe none.
    pub fn hex_run(&mut self) -> &'a [u8] {
        let len = self.rest.iter().position(|&byte| HEX[usize::from(byte)] == 255).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(len);
        self.rest = rest;
        digits
    }
}
