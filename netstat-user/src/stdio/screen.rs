//! Whether standard output is a terminal, how wide it is, and whether there is colour.

use crate::cli::Colour;
use rustix::termios::Winsize;
use std::env;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

/// Columns of the terminal on standard output; `None` where that is none, or has no width.
pub fn width() -> Option<u16> {
    width_of(&io::stdout())
}

/// Lines of the terminal on standard output; `None` where that is none, or has no height.
pub fn height() -> Option<u16> {
    size_of(&io::stdout()).map(|size| size.ws_row).filter(|&lines| lines > 0)
}

/// Columns of the terminal behind this file; `None` where it is none, or has no width.
pub fn width_of(file: &(impl AsFd + IsTerminal)) -> Option<u16> {
    size_of(file).map(|size| size.ws_col).filter(|&columns| columns > 0)
}

fn size_of(file: &(impl AsFd + IsTerminal)) -> Option<Winsize> {
    rustix::termios::tcgetwinsize(file).ok().filter(|_| file.is_terminal())
}

/// Whether standard output is coloured. A `NO_COLOR` that is not empty forbids what was not asked for (no-color.org).
pub fn is_coloured(when: Colour) -> bool {
    let refused = |name: &str, value: Option<&str>| {
        env::var_os(name).is_some_and(|there| value.map_or(!there.is_empty(), |value| there == value))
    };
    match when {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => io::stdout().is_terminal() && !refused("NO_COLOR", None) && !refused("TERM", Some("dumb")),
    }
}
