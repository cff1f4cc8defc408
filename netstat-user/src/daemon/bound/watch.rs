//! Looking after the socket's path for as long as the agent runs.

use super::{Bound, Standing};
use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixListener;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often it is looked whether the socket's path still leads to the agent.
const LOOK: Duration = Duration::from_secs(2);

/// Has clients let in by the listener.
///
/// # Errors
/// The kernel's, or nobody takes listeners.
pub fn hand(doors: &mpsc::Sender<UnixListener>, listener: UnixListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    // One that has not been taken yet is followed by the next look.
    doors.try_send(listener).map_err(io::Error::other)
}

/// Looks after the socket's path for ever: where it does not lead here any more, nobody can reach the agent, and `complain` gets a line for the
/// user. The socket is made again where that is possible.
pub async fn stay_reachable(bound: &mut Bound, doors: mpsc::Sender<UnixListener>, complain: fn(&str)) -> Infallible {
    let mut gone = false;
    loop {
        tokio::time::sleep(LOOK).await;
        let path = bound.path().display().to_string();
        let before = std::mem::replace(&mut gone, false);
        match bound.look() {
            Standing::Here if before => complain(&format!("agent: {path} leads to this agent again")),
            Standing::Here => {}
            Standing::Anew(listener) => match hand(&doors, listener) {
                Ok(()) => complain(&format!("agent: {path} was gone; it has been made again")),
                Err(error) => complain(&format!("agent: {path}: {error}")),
            },
            Standing::Gone(why) => {
                gone = true;
                if !before {
                    complain(&format!("{why}; until then nobody can reach this agent"));
                }
            }
        }
    }
}
