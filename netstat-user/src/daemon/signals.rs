//! Signals of a process that runs for long.

use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// `reload` for each SIGHUP, `end` for each SIGTERM and SIGINT. From here on none of them is fatal. Needs a runtime.
///
/// # Errors
/// A signal that cannot be waited for.
pub fn receive<T: Copy + Send + 'static>(reload: T, end: T) -> io::Result<mpsc::Receiver<T>> {
    let (sender, receiver) = mpsc::channel(4);
    let mut hangup = signal(SignalKind::hangup())?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            let received = tokio::select! {
                _ = hangup.recv() => reload,
                _ = terminate.recv() => end,
                _ = interrupt.recv() => end,
            };
            if sender.send(received).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
