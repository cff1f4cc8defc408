//! The Internet table of netstat.

use super::Listed;
use crate::lang::Lang;

/// The optional columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// User and inode.
    pub extend: bool,
    /// PID and program.
    pub programs: bool,
    /// Timer.
    pub timers: bool,
}

/// Title and column headings.
pub fn heading(out: &mut Vec<u8>, lang: &Lang, listed: Listed, columns: Columns) {
    out.extend_from_slice(lang.text("Active Internet connections "));
    out.extend_from_slice(lang.text(listed.suffix()));
    out.extend_from_slice(
        lang.text("\nProto Recv-Q Send-Q Local Address           Foreign Address         State      "),
    );
    if columns.extend {
        out.extend_from_slice(lang.text(" User       Inode     "));
    }
    if columns.programs {
        out.extend_from_slice(lang.text(" PID/Program name    "));
    }
    if columns.timers {
        out.extend_from_slice(lang.text(" Timer"));
    }
    out.push(b'\n');
}
