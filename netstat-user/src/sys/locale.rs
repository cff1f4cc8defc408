//! The C library's locale: setlocale(3), `nl_langinfo(3)`, iconv(3).

use std::ffi::{CStr, CString, c_char};
use std::ptr;

/// Puts the environment's locale into force for the whole process, as `setlocale(LC_ALL, "")`. If one of its categories
/// is not generated, everything stays "C" and the answer is `false`. Call it before any thread starts: the C library
/// keeps the locale in globals.
pub fn set_from_environment() -> bool {
    // SAFETY: a NUL-terminated literal; the answer is only compared with null.
    !unsafe { libc::setlocale(libc::LC_ALL, c"".as_ptr()) }.is_null()
}

/// The name of the locale in force for messages, "C" before [`set_from_environment`].
pub fn messages() -> Vec<u8> {
    // SAFETY: a null name only asks; the string is copied before anything can change the locale.
    unsafe { copy(libc::setlocale(libc::LC_MESSAGES, ptr::null())) }
}

/// The charset of `LC_CTYPE`, such as "UTF-8" or "ANSI_X3.4-1968".
pub fn charset() -> Vec<u8> {
    // SAFETY: CODESET is a valid item; the string is copied at once.
    unsafe { copy(libc::nl_langinfo(libc::CODESET)) }
}

/// What `LC_NUMERIC` puts between units and tenths.
pub fn decimal_point() -> Vec<u8> {
    // SAFETY: RADIXCHAR is a valid item; the string is copied at once.
    unsafe { copy(libc::nl_langinfo(libc::RADIXCHAR)) }
}

/// # Safety
/// `text` is null or a NUL-terminated string.
unsafe fn copy(text: *const c_char) -> Vec<u8> {
    if text.is_null() {
        return Vec::new();
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(text) }.to_bytes().to_vec()
}

/// Converts UTF-8 to another charset, writing what it lacks in other letters or as `?`, as gettext does.
pub struct Converter(libc::iconv_t);

impl Converter {
    /// A converter to the charset, `None` if the C library has none.
    pub fn to(charset: &[u8]) -> Option<Self> {
        let to = CString::new([charset, b"//TRANSLIT"].concat()).ok()?;
        // SAFETY: both names are NUL-terminated.
        let handle = unsafe { libc::iconv_open(to.as_ptr(), c"UTF-8".as_ptr()) };
        // iconv_open(3) fails with (iconv_t) -1.
        (handle as isize != -1).then_some(Self(handle))
    }

    /// The text in the charset, `None` where it cannot be written even with other letters.
    pub fn convert(&mut self, text: &str) -> Option<Vec<u8>> {
        // No charset of glibc needs more than four bytes for a character or its stand-ins, but for stateful ones, whose
        // escapes add less than the slack.
        let mut out = vec![0u8; text.len() * 4 + 32];
        let mut input = text.as_ptr().cast::<c_char>().cast_mut();
        let mut input_left = text.len();
        let mut output = out.as_mut_ptr().cast::<c_char>();
        let mut output_left = out.len();
        // SAFETY: the handle is open; the pointers and lengths describe `text`, which iconv only reads, and `out`.
        let result = unsafe { libc::iconv(self.0, &mut input, &mut input_left, &mut output, &mut output_left) };
        // SAFETY: as above; a null input asks only for the way back to the initial shift state.
        let end = unsafe { libc::iconv(self.0, ptr::null_mut(), ptr::null_mut(), &mut output, &mut output_left) };
        if result == usize::MAX || end == usize::MAX {
            return None;
        }
        out.truncate(out.len() - output_left);
        Some(out)
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again.
        unsafe { libc::iconv_close(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversion() {
        let mut latin = Converter::to(b"ISO-8859-1").unwrap();
        assert_eq!(latin.convert("HÖRT").unwrap(), b"H\xd6RT");
        assert_eq!(latin.convert("").unwrap(), b"");
        assert_eq!(Converter::to(b"ANSI_X3.4-1968").unwrap().convert("Domäne").unwrap(), b"Dom?ne");
        assert!(Converter::to(b"no-such-charset").is_none());
        assert!(Converter::to(b"nul\0").is_none());
    }
}
