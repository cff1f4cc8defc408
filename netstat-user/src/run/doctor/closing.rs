//! Whether sockets can be closed here, and in which way.

use crate::diag::Channel;
use crate::diag::destroy;
use crate::diag::loaded::{Part, loads_nothing};
use crate::kernel;
use crate::kernel::closing::ClosingProgram;
use crate::kernel::snapshot::Transport;
use crate::model::{Check, Level};
use std::path::Path;

/// What there is to report of closing TCP sockets, the kernel's /proc being at `root`.
pub fn check(root: &Path) -> Check {
    if kernel::may_close() && kernel::is_contained() {
        let found = "only sockets of network namespaces that this user namespace owns are closed";
        return Check::amiss("kill", Level::Note, found, kernel::OUTSIDE);
    }
    if !kernel::may_close() {
        let found = "this user may close no socket, not even its own: that takes cap_net_admin";
        return Check::amiss("kill", Level::Note, found, "run as root");
    }
    // A look is no reason to load a module.
    if loads_nothing(root, Part::Tcp) {
        match Channel::open().map_err(Into::into).and_then(|mut channel| destroy::is_supported(&mut channel)) {
            Ok(true) => return Check::ok("kill", "sockets are closed by sock_diag"),
            Ok(false) => {}
            Err(error) if error.is_unsupported() => {}
            Err(error) => {
                log::debug!("whether sock_diag closes sockets is not known: {error}");
                return Check::ok("kill", "whether sock_diag closes sockets shows when it is asked to");
            }
        }
    } else {
        return Check::ok(
            "kill",
            "whether sock_diag closes sockets shows when its modules are loaded, which kill does",
        );
    }
    match ClosingProgram::load(Transport::Tcp, 1) {
        Ok(_) => Check::ok(
            "kill",
            "sockets are closed by bpf_sock_destroy, as sock_diag closes none here: TCP but requests and TIME_WAIT, and UDP",
        ),
        Err(error) => Check::amiss(
            "kill",
            Level::Note,
            format!("no socket can be closed: the kernel was built without CONFIG_INET_DIAG_DESTROY, and {error}"),
            if error.is_denied() {
                "run as root"
            } else {
                "boot a kernel built with CONFIG_INET_DIAG_DESTROY=y, or Linux 6.5 or later"
            },
        ),
    }
}
