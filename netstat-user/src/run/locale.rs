//! The reader's language: what setlocale(3) and gettext(3) would decide, without asking them where the answer is known.

use crate::lang::{self, Lang};
use crate::sys;
use std::env;
use std::os::unix::ffi::OsStringExt;

/// The words for this process's environment. Call it before any thread starts.
pub fn lang() -> Lang {
    let var = |name: &str| env::var_os(name).map(OsStringExt::into_vec);
    if !lang::needs_locale(var) || !sys::locale::set_from_environment() {
        return Lang::ENGLISH;
    }
    let words = if lang::is_german(&sys::locale::messages(), var("LANGUAGE").as_deref()) {
        // gettext lets this variable overrule LC_CTYPE.
        let charset = var("OUTPUT_CHARSET").filter(|name| !name.is_empty()).unwrap_or_else(sys::locale::charset);
        match charset.as_slice() {
            b"UTF-8" => Lang::german_utf8(),
            other => sys::locale::Converter::to(other)
                .map_or(Lang::ENGLISH, |mut converter| Lang::german(|text| converter.convert(text))),
        }
    } else {
        Lang::ENGLISH
    };
    words.with_decimal_point(sys::locale::decimal_point())
}
