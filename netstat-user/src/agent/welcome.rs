//! Clients are let in: each connection becomes a task at its counter, or is refused.

use super::client::Client;
use super::door::{Full, Seat};
use super::house::House;
use super::sight::Peer;
use super::{Lists, TICK};
use crate::query::{Answer, Denial};
use crate::sys;
use bytes::BytesMut;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

impl<L: Lists> House<L> {
    /// Lets clients in from here on, where the last of the listeners is.
    pub fn open(self: Arc<Self>, mut listeners: mpsc::Receiver<UnixListener>) -> JoinHandle<io::Result<()>> {
        let thread = self.staff.thread.clone();
        thread.spawn(async move {
            let mut listener = None;
            loop {
                let accepted = async {
                    match &listener {
                        Some(listener) => tokio::net::UnixListener::accept(listener).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    accepted = accepted => match accepted {
                        Ok((stream, _)) => self.welcome(stream),
                        // Out of descriptors, or a client that has gone already: neither is the end of the agent.
                        Err(error) => {
                            self.turned_away.note(&error);
                            tokio::time::sleep(TICK).await;
                        }
                    },
                    Some(next) = listeners.recv() => listener = Some(tokio::net::UnixListener::from_std(next)?),
                }
            }
        })
    }

    /// Serves a connection on a task of its own, or refuses it. Runs on the thread of the staff.
    fn welcome(self: &Arc<Self>, stream: UnixStream) {
        let Ok(peer) = stream.peer_cred() else { return };
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid != 0);
        let mut peer = Peer { uid: peer.uid(), gid: peer.gid(), pid, begun: None, id: None };
        let is_staff = self.admission.is_staff(&peer);
        let mut process = None;
        if !self.admission.shows_all(is_staff) {
            process = match sys::unless_scarce(sys::peer_process(&stream)) {
                Ok(Some(process)) => process,
                // It has gone, and its number may be another one's.
                Ok(None) => {
                    peer.pid = None;
                    None
                }
                Err(error) => return self.turned_away.note(&error),
            };
        }
        let counter = if is_staff { &self.staff } else { &self.guests };
        let seat = match self.admission.admits(&peer, &stream) {
            false => {
                let reason = "this user may not ask: see --mode and --group of netstat-user agent";
                Err(Denial { turns_away: true, ..Denial::new(reason) })
            }
            true => {
                let denial = |full: Full| Denial { is_full: true, ..Denial::new(full.to_string()) };
                self.places.take(peer.uid, is_staff).map_err(denial)
            }
        };
        let refusal = seat.as_ref().err().and_then(|_| self.places.refusal());
        let seat = match seat {
            // One of a crowd: it is hung up on at once, but not without a word. What does not fit into the empty socket is left out.
            Err(denial) if refusal.is_none() => {
                let mut out = BytesMut::new();
                Answer::Refused(denial).encode(&mut out);
                let _ = stream.try_write(&out);
                // Nothing more comes in, so that what is there is all that goes with it.
                let _ = rustix::net::shutdown(&stream, rustix::net::Shutdown::Both);
                if !is_staff && sys::brings_descriptors(&stream) {
                    // To drop what they are of may take for ever: not on this thread.
                    counter.thread.spawn(async move { drop(stream) });
                }
                return;
            }
            seat => seat,
        };
        // A connection belongs to the thread that serves it.
        let Ok(stream) = stream.into_std() else { return };
        let house = Arc::clone(self);
        let workers = counter.workers.of(seat.as_ref().map_or(peer.uid, Seat::payer));
        counter.thread.spawn(async move {
            let Ok(stream) = UnixStream::from_std(stream) else { return };
            let mut client = Client { stream, house, workers, peer, process, is_staff };
            // A client that goes in the middle is its own affair.
            let _ = match seat {
                Ok(seat) => client.serve(&seat).await,
                Err(denial) => client.deny(denial).await,
            };
            drop(refusal);
        });
    }
}
