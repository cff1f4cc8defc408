//! What a reader of events is shown while it reads, if that is not everything: its user's processes and their namespaces come and go.

use super::Lists;
use super::feed::Feed;
use super::sight::{Own, Peer, Sight};
use super::stay::{LastLook, Presence, ShownStays};
use super::workers::UserWorkers;
use crate::model::LiveSocket;
use crate::query::Answer;
use crate::sys::{Scarce, lock};
use bytes::{Bytes, BytesMut};
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// How long what waits for a reader that is to be dropped is kept for it.
pub const STALL: Duration = Duration::from_secs(60);
/// How often it is looked what a reader may see by now.
const LOOK: Duration = Duration::from_secs(2);
/// Before it is looked once more for what was scarce.
const RETRY: Duration = Duration::from_millis(100);

/// What a reader that is not shown everything may see while it reads.
pub struct StreamView<L> {
    lists: Arc<L>,
    workers: UserWorkers,
    peer: Peer,
    /// What it was last shown.
    own: Mutex<Arc<Own>>,
    shown: Mutex<ShownStays>,
}

/// What a peer is shown, and of a stream what keeps that true while it reads.
pub struct ShownView<L> {
    /// What is shown.
    pub sight: Sight,
    /// `None` where that is everything, or not for long.
    pub view: Option<StreamView<L>>,
}

impl<L: Lists> StreamView<L> {
    /// What the reader may see from here on.
    ///
    /// # Errors
    /// Something ran out, or the agent ends.
    pub async fn begin(lists: Arc<L>, workers: UserWorkers, peer: Peer, own: Arc<Own>) -> io::Result<Self> {
        let view = Self { lists, workers, peer, own: Mutex::new(own), shown: Mutex::default() };
        view.look().await?;
        Ok(view)
    }

    /// How long all that is shown has been known to be the same, at the last look.
    pub fn age_ns(&self, own: &Own) -> u64 {
        lock(&self.shown).age_ns(own)
    }

    /// Leaves out the sockets of namespaces that were not there at the last look.
    pub fn retain_there(&self, sockets: &mut Vec<LiveSocket>) {
        let there = lock(&self.shown);
        sockets.retain(|socket| there.has(socket.netns));
    }

    /// Which of the namespaces that the reader was last shown are there, and what that was.
    async fn present(&self) -> io::Result<(Presence, Arc<Own>)> {
        let (lists, own) = (Arc::clone(&self.lists), Arc::clone(&lock(&self.own)));
        let shown = Arc::clone(&own);
        let presence = self.workers.run(move |_| lists.present(&own)).await??;
        Ok((presence, shown))
    }

    /// Notes which of them are there; not where the reader is shown something else by now, or what is there was found later.
    fn note(&self, presence: &Presence, shown: &Arc<Own>) -> bool {
        let own = lock(&self.own);
        Arc::ptr_eq(&own, shown) && lock(&self.shown).note(presence)
    }

    /// Notes which of them are there.
    ///
    /// # Errors
    /// Something ran out, or the agent ends.
    pub async fn look(&self) -> io::Result<()> {
        let (presence, shown) = self.present().await?;
        self.note(&presence, &shown);
        Ok(())
    }

    /// Shows the reader what it may see, as it was at a time or later.
    async fn renew(&self, feed: &Feed, since: Option<std::time::Instant>) -> io::Result<()> {
        let (lists, peer) = (Arc::clone(&self.lists), self.peer);
        let found = self.workers.run(move |_| {
            let own = lists.own_since(&peer, since)?;
            let presence = lists.present(&own)?;
            io::Result::Ok((own, presence))
        });
        let (own, presence) = found.await??;
        *lock(&self.own) = Arc::clone(&own);
        self.note(&presence, &own);
        feed.show(Sight::Own(own));
        Ok(())
    }

    /// Notes what is there by now.
    async fn look_anew(&self, feed: &Feed) -> io::Result<()> {
        loop {
            let (presence, shown) = self.present().await?;
            if presence.objects.len() < shown.namespaces.len() {
                // The processes by which one is found may have ended before it.
                return self.renew(feed, Some(std::time::Instant::now())).await;
            }
            // Else it was renewed meanwhile, which may have begun before.
            if self.note(&presence, &shown) {
                return Ok(());
            }
        }
    }

    /// Shows the reader what it may see by now, again and again.
    pub async fn follow(&self, feed: &Feed) -> Infallible {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            match self.renew(feed, None).await {
                Ok(()) => renewed = Instant::now(),
                // As long as something is scarce, it is what it was, but not for ever; and the workers end with the agent.
                Err(_) if renewed.elapsed() > STALL => {
                    feed.give_up();
                    feed.cut();
                }
                Err(_) => {}
            }
        }
    }

    /// The frames that may be sent, behind the number of events that are missed. For want of a look within [`STALL`] these and all that waits count as
    /// missed.
    ///
    /// # Errors
    /// The agent ends, or these are no frames.
    pub async fn pass(&self, frames: Bytes, feed: &Feed) -> io::Result<Bytes> {
        let of_now = |last| feed.timed(|| lock(&self.shown).pass(&frames, last)).map_err(io::Error::other);
        let passed = match of_now(LastLook::Before)? {
            Some(passed) => Some(passed),
            None => {
                let (since, mut last) = (Instant::now(), LastLook::Since);
                while let Err(error) = self.look_anew(feed).await {
                    // Too many other requests of the user may wait.
                    if Scarce::of(&error).is_none() && error.kind() != io::ErrorKind::QuotaExceeded {
                        return Err(error);
                    }
                    if since.elapsed() > STALL {
                        // What waits is missed, too, and the stream ends with that.
                        feed.give_up();
                        last = LastLook::Never;
                        break;
                    }
                    tokio::time::sleep(RETRY).await;
                }
                of_now(last)?
            }
        };
        let (passed, missed) = passed.unwrap_or_default();
        if missed == 0 {
            return Ok(passed);
        }
        let mut out = BytesMut::new();
        let time_ns = lock(&self.shown).looked_ns();
        Answer::Lost { time_ns, count: missed }.encode(&mut out);
        out.extend_from_slice(&passed);
        Ok(out.freeze())
    }
}
