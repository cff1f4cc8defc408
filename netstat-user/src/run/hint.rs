//! What names the agent where it could answer what the caller may not see.

use crate::cli::names::SOCKET;
use crate::client::{self, AskError};
use crate::proc::{unix, whole};
use crate::sys::Scarce;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The options that let other users ask.
const LET_IN: &str = " --mode 660 --group GROUP";

/// What to do where an agent is there, and its answer does not come of who asks.
const AGAIN: &str = "ask again; the agent closes the connection of a slow reader, and its log may say why";

/// The option that shows them everything.
pub const SHARE_ALL: &str = " --share all";

/// The command that starts an agent on this path.
fn command(path: &Path) -> String {
    match path == Path::new(SOCKET) {
        true => "netstat-user agent".to_owned(),
        false => format!("netstat-user agent --socket {}", path.display()),
    }
}

/// How to get an answer on a path where there was this error.
pub fn way_in(path: &Path, error: &AskError) -> String {
    way_past(path, error, || listens(path))
}

/// What to start, or to restart where an agent `is_there`.
fn start(command: &str, is_there: bool) -> String {
    if is_there { format!("as root, restart it as {command}") } else { format!("as root: {command}") }
}

fn way_past(path: &Path, error: &AskError, listens: impl FnOnce() -> bool) -> String {
    let command = command(path);
    match error {
        // It could not even be asked.
        AskError::Io(error) if Scarce::below(error).is_some() => "raise that limit, and ask again".into(),
        AskError::Short(_) => "ask again; if it stays so, raise that limit of the agent".into(),
        AskError::Elsewhere => "run it where the agent runs".into(),
        AskError::Older | AskError::Query(_) | AskError::OffTopic => start(&command, true),
        // It is there, and does not answer.
        AskError::Io(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            "it is there and does not answer: see whether it is stopped (kill -CONT); it may also be busy with thousands of network namespaces".into()
        }
        AskError::Stranger(_) => format!("see whose {} is, and stop it; then as root: {command}", path.display()),
        AskError::Refused(denial) if denial.is_full => {
            format!("try again, or as root, restart it as {command} --clients N with a larger N than now")
        }
        AskError::Refused(denial) if denial.is_busy => "ask again".into(),
        AskError::Refused(denial) if denial.turns_away => start(&command, true) + LET_IN,
        AskError::Refused(denial) if denial.hides_namespace => start(&command, true) + SHARE_ALL,
        // Its reason says what is missing.
        AskError::Refused(_) => AGAIN.into(),
        AskError::Io(error) if error.kind() == ErrorKind::PermissionDenied => start(&command, listens()) + LET_IN,
        // It hung up.
        AskError::Io(_) if listens() => AGAIN.into(),
        AskError::Io(_) => start(&command, false),
    }
}

/// What an agent on this path could do for a user who may not do it without; `share` with the option that shows it to users other than root.
pub fn could(path: &Path, what: &str, share: &str) -> String {
    could_after(path, what, share, client::connect(path).err().as_ref(), || listens(path))
}

/// Whether somebody listens on this path, by the kernel's table of UNIX domain sockets: whoever may not connect is refused by the file, also by one
/// that an agent left behind. The table has the sockets of one's own network namespace.
fn listens(path: &Path) -> bool {
    let Ok(table) = whole(Path::new("/proc/net/unix")) else { return false };
    let rows = unix::parse(&table).rows;
    rows.iter().any(|row| row.accepts() && row.path == path.as_os_str().as_bytes())
}

fn could_after(
    path: &Path,
    what: &str,
    share: &str,
    error: Option<&AskError>,
    listens: impl FnOnce() -> bool,
) -> String {
    let (place, command) = (path.display(), command(path));
    let start = |is_there| start(&command, is_there) + LET_IN + share;
    match error {
        None => format!("the agent on {place} could {what}: {}", start(true)),
        Some(AskError::Io(error)) if error.kind() == ErrorKind::PermissionDenied && listens() => {
            format!("the agent on {place} could {what}, and does not let this user ask: {}", start(true))
        }
        Some(_) => format!("an agent could {what}: {}", start(false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Denial;
    use std::io;

    #[test]
    fn the_way_to_an_answer_is_named() {
        let io = |kind: ErrorKind| AskError::Io(kind.into());
        let (usual, other) = (Path::new(SOCKET), Path::new("/x"));
        assert_eq!(way_in(usual, &io(ErrorKind::NotFound)), "as root: netstat-user agent");
        assert_eq!(
            way_in(other, &io(ErrorKind::PermissionDenied)),
            "as root: netstat-user agent --socket /x --mode 660 --group GROUP"
        );
        assert!(way_in(usual, &io(ErrorKind::TimedOut)).contains("does not answer"));
        assert!(way_in(other, &AskError::Stranger(7)).starts_with("see whose /x is"));
        let refused = |denial: fn(Denial) -> Denial| way_in(other, &AskError::Refused(denial(Denial::new("no"))));
        let restart = "as root, restart it as netstat-user agent --socket /x";
        assert_eq!(refused(|no| Denial { turns_away: true, ..no }), format!("{restart} --mode 660 --group GROUP"));
        assert_eq!(refused(|no| Denial { hides_namespace: true, ..no }), format!("{restart} --share all"));
        assert!(refused(|no| Denial { is_full: true, ..no }).starts_with("try again, or as root, restart it"));
        assert_eq!(refused(|no| Denial { is_busy: true, ..no }), "ask again");
        assert!(!refused(|no| no).contains("netstat-user agent"));
        // It was there, and hung up.
        assert!(!way_past(usual, &io(ErrorKind::UnexpectedEof), || true).contains("netstat-user agent"));
        // One that is there, and lets this user not ask, is not to be started a second time.
        assert_eq!(
            way_past(usual, &io(ErrorKind::PermissionDenied), || true),
            "as root, restart it as netstat-user agent --mode 660 --group GROUP"
        );
        // What ran out here says nothing of an agent.
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
            let error = AskError::Io(std::io::Error::from_raw_os_error(errno));
            assert!(!way_in(usual, &error).contains("netstat-user agent"), "{error}");
            assert!(error.to_string().contains("raise"), "{error}");
        }
        assert!(!way_in(usual, &AskError::Short(Scarce::OpenFiles)).contains("netstat-user agent"));
    }

    #[test]
    fn a_file_that_nobody_listens_on_is_known_for_one() {
        let path = std::env::temp_dir().join(format!("netstat-user-hint-{}", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(listens(&path));
        drop(listener);
        assert!(path.exists() && !listens(&path));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_an_agent_could_do_is_said_by_what_is_there() {
        let denied = AskError::Io(io::ErrorKind::PermissionDenied.into());
        let (usual, what) = (Path::new(SOCKET), "name them");
        let shared = "could name them: as root, restart it as netstat-user agent --mode 660 --group GROUP --share all";
        assert!(could_after(usual, what, SHARE_ALL, None, || false).ends_with(shared));
        assert!(could_after(usual, what, "", Some(&denied), || true).ends_with(
            "does not let this user ask: as root, restart it as netstat-user agent --mode 660 --group GROUP"
        ));
        // A file that an agent left behind serves nobody.
        assert_eq!(
            could_after(usual, what, "", Some(&denied), || false),
            "an agent could name them: as root: netstat-user agent --mode 660 --group GROUP"
        );
        assert_eq!(
            could(Path::new("/nonexistent/agent"), what, SHARE_ALL),
            "an agent could name them: as root: netstat-user agent --socket /nonexistent/agent --mode 660 --group GROUP --share all"
        );
    }
}
