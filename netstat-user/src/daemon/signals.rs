//! Signals of a process that runs for long.

use crate::sys::signals::{ENDING, RELOADING, Signals};
use std::io;
use tokio::sync::mpsc;

/// `reload` for each SIGHUP, `end` for each SIGTERM and SIGINT. From here on none of them is fatal. Needs a runtime.
///
/// # Errors
/// A signal that cannot be waited for.
pub fn receive<T: Copy + Send + 'static>(reload: T, end: T) -> io::Result<mpsc::Receiver<T>> {
    let (sender, receiver) = mpsc::channel(4);
    let (mut reloading, mut ending) = (Signals::of(RELOADING)?, Signals::of(ENDING)?);
    tokio::spawn(async move {
        loop {
            let received = tokio::select! {
                // A process that no signal would reach any more ends while it can.
                came = reloading.next() => if came.is_ok() { reload } else { end },
                _ = ending.next() => end,
            };
            if sender.send(received).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
