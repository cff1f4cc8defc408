//! Memory for answers: how much those of guests may take together, and for how long.

use crate::model::{ClosedSocket, LiveSocket};
use crate::sys;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// What answers for guests may take together, in MiB: those that are small, which so never wait for others, and all others.
const OF_SMALL: usize = 64;
const OF_LARGE: usize = 192;
/// How much one that is small takes at most, in MiB.
const SMALL: usize = 16;
/// How long it is waited for. Clients wait for some seconds, and then ask the kernel.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a client may take to read an answer, and how many bytes of it for each second more.
const GRACE: Duration = Duration::from_secs(10);
const RATE: usize = 4 << 20;

/// Bytes that every answer takes while it is made.
const OF_AN_ANSWER: usize = 4 << 20;
/// Those for each row of the kernel's tables, with its owner, and as frame; and for each socket of the agent's table, before and after it was found out
/// what may be shown.
const OF_A_ROW: usize = 256;
const OF_A_LIVE_SOCKET: usize = 2 * size_of::<LiveSocket>();
const OF_A_CLOSED_SOCKET: usize = 2 * size_of::<ClosedSocket>();
/// Those for each link from a process to a socket: as it is read, as it is handed over, and as frame.
const OF_A_LINK: usize = 64;

/// How many sockets an answer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerCount {
    /// Sockets that live.
    pub live: usize,
    /// Sockets that have ended.
    pub closed: usize,
}

impl AnswerCount {
    /// Bytes that they take while they are read from the agent's table, and sent.
    pub const fn bytes_of_table(self) -> usize {
        let live = self.live.saturating_mul(OF_A_LIVE_SOCKET);
        let closed = self.closed.saturating_mul(OF_A_CLOSED_SOCKET);
        OF_AN_ANSWER.saturating_add(live).saturating_add(closed)
    }

    /// Those that the ones that live take as rows of the kernel's tables, with so many links from processes to sockets.
    pub const fn bytes_of_rows(self, links: usize) -> usize {
        let (rows, links) = (self.live.saturating_mul(OF_A_ROW), links.saturating_mul(OF_A_LINK));
        OF_AN_ANSWER.saturating_add(rows).saturating_add(links)
    }
}

/// Why a request is not answered now.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum NoRoom {
    /// Others are being answered.
    #[error("the agent has no room for this answer while it answers others")]
    Busy,
    /// Too much of one user's waits.
    #[error("too many requests of this user wait for the agent")]
    Crowded,
    /// The kernel has no memory for it.
    #[error("the agent has {}", sys::NO_MEMORY)]
    Memory,
}

impl NoRoom {
    /// The one that an error was made of.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }

    /// Whether the client may try again soon.
    pub const fn passes(self) -> bool {
        matches!(self, Self::Busy | Self::Crowded)
    }
}

impl From<NoRoom> for io::Error {
    /// `OutOfMemory` where memory is missing; otherwise `QuotaExceeded`.
    fn from(no_room: NoRoom) -> Self {
        let kind = match no_room {
            NoRoom::Busy | NoRoom::Crowded => io::ErrorKind::QuotaExceeded,
            NoRoom::Memory => io::ErrorKind::OutOfMemory,
        };
        Self::new(kind, no_room)
    }
}

/// Memory for answers.
pub struct AnswerMemory {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    is_bounded: bool,
}

/// Memory for one answer, until it is dropped.
#[derive(Debug)]
pub struct AnswerShare {
    taken: OwnedSemaphorePermit,
    is_bounded: bool,
    until: Option<Instant>,
}

/// In MiB.
const fn mebibytes(bytes: usize) -> usize {
    (bytes >> 20) + 1
}

impl AnswerMemory {
    /// For guests.
    pub fn bounded() -> Self {
        let pool = |size| Arc::new(Semaphore::new(size));
        Self { small: pool(OF_SMALL), large: pool(OF_LARGE), is_bounded: true }
    }

    /// As much as there is.
    pub fn boundless() -> Self {
        let pool = || Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { small: pool(), large: pool(), is_bounded: false }
    }

    /// What an answer of so many bytes is taken from, and how much of that: of one that is larger, all.
    fn pool(&self, bytes: usize) -> (&Arc<Semaphore>, u32) {
        match mebibytes(bytes) {
            small @ ..=SMALL => (&self.small, small as u32),
            large => (&self.large, large.min(OF_LARGE) as u32),
        }
    }

    /// Until when somebody waits who begins now.
    pub fn patience() -> Instant {
        Instant::now() + PATIENCE
    }

    /// Waits until there is memory for an answer of at most so many bytes.
    ///
    /// # Errors
    /// `QuotaExceeded`: there was none by then. `OutOfMemory`: the kernel has none, and the whole agent would end for want of it.
    pub async fn wait(&self, bytes: usize, until: Instant) -> io::Result<AnswerShare> {
        let (pool, share) = self.pool(bytes);
        match timeout_at(until, Arc::clone(pool).acquire_many_owned(share)).await {
            Ok(Ok(taken)) => self.share(taken, bytes),
            Ok(Err(closed)) => Err(io::Error::other(closed)),
            Err(_) => Err(NoRoom::Busy.into()),
        }
    }

    /// Takes memory for an answer, where others have left some now.
    ///
    /// # Errors
    /// `OutOfMemory`, as of [`AnswerMemory::wait`].
    pub fn take(&self, bytes: usize) -> Option<io::Result<AnswerShare>> {
        let (pool, share) = self.pool(bytes);
        let taken = Arc::clone(pool).try_acquire_many_owned(share).ok()?;
        Some(self.share(taken, bytes))
    }

    fn share(&self, taken: OwnedSemaphorePermit, bytes: usize) -> io::Result<AnswerShare> {
        if !sys::has_memory(bytes) {
            return Err(NoRoom::Memory.into());
        }
        Ok(AnswerShare { taken, is_bounded: self.is_bounded, until: None })
    }

    /// How much is left, in MiB.
    #[cfg(test)]
    pub fn left(&self) -> [usize; 2] {
        [&self.small, &self.large].map(|pool| pool.available_permits())
    }
}

impl AnswerShare {
    /// Whether an answer of so many bytes may be made with it.
    ///
    /// # Errors
    /// `QuotaExceeded`: it is larger than was thought, and there may be others.
    pub fn is_enough_for(&self, bytes: usize) -> io::Result<()> {
        let all = self.taken.num_permits() >= OF_LARGE;
        match !self.is_bounded || all || mebibytes(bytes) <= self.taken.num_permits() {
            true => Ok(()),
            false => Err(NoRoom::Busy.into()),
        }
    }

    /// Gives back what an answer that is made does not take. From here on its client is to read it.
    pub fn keep(&mut self, bytes: usize) {
        let more = self.taken.num_permits().saturating_sub(mebibytes(bytes));
        drop(self.taken.split(more));
        let slowest = GRACE + Duration::from_secs((bytes / RATE) as u64);
        self.until = self.is_bounded.then(|| Instant::now() + slowest);
    }

    /// Sends a part of the answer.
    ///
    /// # Errors
    /// `TimedOut` where the client is slower than it may be, or those of `sending`.
    pub async fn before_deadline<T>(&self, sending: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        match self.until {
            None => sending.await,
            Some(until) => timeout_at(until, sending).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;
    const HUGE: usize = 256 << 20;

    #[test]
    fn small_answers_never_wait_for_large_ones() {
        let memory = AnswerMemory::bounded();
        let large = memory.take(HUGE).unwrap().unwrap();
        assert_eq!(memory.left(), [OF_SMALL, 0]);
        assert!(memory.take(SMALL * MIB).is_none());
        let small: Vec<_> =
            std::iter::repeat_with(|| memory.take((SMALL - 1) * MIB)).map_while(|share| share?.ok()).collect();
        assert_eq!((small.len(), memory.left()), (OF_SMALL / SMALL, [0, 0]));
        drop((large, small));
        assert_eq!(memory.left(), [OF_SMALL, OF_LARGE]);
        let boundless = AnswerMemory::boundless();
        let many: Vec<_> = (0..64).map(|_| boundless.take(HUGE).unwrap().unwrap()).collect();
        assert!(many.iter().all(|share| share.until.is_none()));
    }

    #[test]
    fn an_answer_keeps_what_it_takes_and_no_longer_than_it_may() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let memory = AnswerMemory::bounded();
            let mut share = memory.wait(100 * MIB, AnswerMemory::patience()).await.unwrap();
            assert_eq!(memory.left()[1], OF_LARGE - 101);
            // Nobody waits for ever.
            let refused = memory.wait(150 * MIB, AnswerMemory::patience()).await.unwrap_err();
            assert!(refused.kind() == io::ErrorKind::QuotaExceeded && refused.to_string().contains("no room"));
            assert!(share.is_enough_for(100 * MIB).is_ok() && share.is_enough_for(101 * MIB).is_err());
            assert!(AnswerMemory::boundless().take(MIB).unwrap().unwrap().is_enough_for(usize::MAX).is_ok());
            share.keep(80 * MIB);
            assert_eq!(memory.left()[1], OF_LARGE - 81);
            let (begun, never) = (Instant::now(), std::future::pending::<io::Result<()>>());
            let sending = tokio::time::timeout(Duration::from_secs(60), share.before_deadline(never));
            let late = sending.await.expect("it ends").unwrap_err();
            assert_eq!((late.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
        });
    }
}
