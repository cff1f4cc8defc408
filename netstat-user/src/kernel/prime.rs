//! Owners of the sockets that are older than the tracer. An iterator over all open files finds them. It runs once at the start, and again when
//! an owner has ended whose sockets other processes still hold, or when a process accepted a connection that no hook saw.

use super::{
    hooks::OLDER_SOCKETS,
    iter,
    load::{Job, Preloaded},
};
use crate::model::HookCoverage;
use crate::sys::{self, Scarce};
use aya::{Btf, Ebpf};
use rustix::time::ClockId;
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::mpsc::{self, Receiver, SyncSender},
    time::{Duration, Instant},
};

/// Pause at least between two runs for processes that are gone.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest that records are held up for a run. The ring is emptied all the same.
const WAIT: Duration = Duration::from_millis(250);

/// How often it is looked whether a run that lasts has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Whoever takes the records may wait for one part in this many of the time.
const WAITS: u32 = 10;

/// The iterator may use one part in this many of the processor's time,
const SHARE: u32 = 20;

/// and up to this much at once after it has not run for a while.
const CREDIT: Duration = Duration::from_millis(50);

/// Loads the iterator and runs it once. Attach the other hooks first: a socket made meanwhile is known to them.
///
/// # Errors
/// What ran out.
pub fn prime(ebpf: &mut Ebpf, loaded: &mut Preloaded, btf: Option<&Btf>) -> Result<HookCoverage, Scarce> {
    let primed = loaded.load(ebpf, Job::Iterated(&OLDER_SOCKETS), btf);
    let primed = primed.and_then(|()| iter::walk(ebpf, OLDER_SOCKETS.program));
    iter::coverage(&OLDER_SOCKETS, primed.err())
}

/// When the iterator is run once more: on a thread of its own, as nobody knows how many descriptors there are. A user may have millions of one socket.
#[derive(Debug)]
pub struct Again {
    /// The program, until the thread has it; `None` where it was refused.
    link: Option<OwnedFd>,
    /// The thread, once there is one.
    finder: Option<Finder>,
    due: bool,
    not_before: Option<Instant>,
    credit: Credit,
    /// The time that records may be held up.
    waits: Credit,
    /// Whether the last run failed, and its error until somebody asks for it. Of failures in a row only the first is kept.
    failing: bool,
    failure: Option<io::Error>,
}

impl Again {
    /// Nothing to be looked for yet; `link` is the linked program, where there is one.
    pub fn new(link: Option<OwnedFd>) -> Self {
        Self {
            link,
            finder: None,
            due: false,
            not_before: None,
            credit: Credit::default(),
            waits: Credit::new(WAIT, WAITS),
            failing: false,
            failure: None,
        }
    }

    /// Makes the thread. It has the privileges that the calling one has by now.
    ///
    /// # Errors
    /// No room for it.
    pub fn begin(&mut self) -> io::Result<()> {
        if let Some(link) = self.link.take() {
            self.finder = Some(Finder::start(move || iter::run(link.as_fd()))?);
        }
        Ok(())
    }

    /// Why runs fail, if that was not asked since they do.
    pub const fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// The owner of a socket that others hold is gone.
    pub const fn ask(&mut self) {
        self.due = true;
    }

    /// Has it run if a process is gone and it is time to; returns what a run that has ended by now wrote.
    pub fn run(&mut self) -> Option<Vec<u8>> {
        let found = self.found(Duration::ZERO);
        let now = Instant::now();
        if self.due && self.not_before.is_none_or(|not_before| now >= not_before) && self.hand(now) {
            self.not_before = Some(now + PAUSE);
        }
        found
    }

    /// Has it run now. Returns what it wrote if that takes no longer than [`WAIT`], otherwise a later [`Again::run`] does: at once where records were held
    /// up for their share of the time. `None` also where it runs already, has taken its share of the processor, or was refused. `meanwhile` is called as
    /// long as it lasts, until it says that there is no more room.
    pub fn walk(&mut self, mut meanwhile: impl FnMut() -> bool) -> Option<Vec<u8>> {
        let begun = Instant::now();
        if !self.hand(begun) {
            return None;
        }
        if !self.waits.allows(begun) {
            return None;
        }
        let found = loop {
            let found = self.found(LOOK);
            let runs = self.finder.as_ref().is_some_and(|finder| finder.is_busy);
            if found.is_some() || !runs || begun.elapsed() >= WAIT || !meanwhile() {
                break found;
            }
        };
        self.waits.spend(begun.elapsed());
        found
    }

    /// Has the thread run it, where it may.
    fn hand(&mut self, now: Instant) -> bool {
        let Some(finder) = self.finder.as_mut().filter(|finder| !finder.is_busy) else { return false };
        if !self.credit.allows(now) || finder.asks.try_send(()).is_err() {
            return false;
        }
        finder.is_busy = true;
        self.due = false;
        true
    }

    /// What the thread has found, if it has by then.
    fn found(&mut self, wait: Duration) -> Option<Vec<u8>> {
        let finder = self.finder.as_mut().filter(|finder| finder.is_busy)?;
        let (found, took) = finder.found.recv_timeout(wait).ok()?;
        finder.is_busy = false;
        self.credit.spend(took);
        match found {
            Ok(found) => {
                self.failing = false;
                Some(found)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    self.failure = Some(error);
                }
                None
            }
        }
    }
}

/// A thread that runs the iterator when it is asked to.
#[derive(Debug)]
struct Finder {
    asks: SyncSender<()>,
    /// What a run wrote, and the processor time that it took.
    found: Receiver<(io::Result<Vec<u8>>, Duration)>,
    is_busy: bool,
}

impl Finder {
    /// Makes the thread; `look` runs the iterator once.
    fn start(mut look: impl FnMut() -> io::Result<Vec<u8>> + Send + 'static) -> io::Result<Self> {
        let (asks, asked) = mpsc::sync_channel(1);
        let (done, found) = mpsc::sync_channel(1);
        let spent = || Duration::from_nanos(sys::clock_ns(ClockId::ThreadCPUTime));
        let run = move || {
            while asked.recv().is_ok() {
                let before = spent();
                let found = look();
                if done.send((found, spent().saturating_sub(before))).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("holders".into()).spawn(run).map_err(sys::no_thread)?;
        Ok(Self { asks, found, is_busy: false })
    }
}

/// Time that may be spent: it grows by a share of the time that passes.
#[derive(Debug)]
struct Credit {
    /// How much may be spent at once.
    most: Duration,
    /// It grows by one part in this many.
    share: u32,
    left: Duration,
    /// What was spent beyond what was left.
    owed: Duration,
    since: Option<Instant>,
}

impl Default for Credit {
    fn default() -> Self {
        Self::new(CREDIT, SHARE)
    }
}

impl Credit {
    /// All of it.
    const fn new(most: Duration, share: u32) -> Self {
        Self { most, share, left: most, owed: Duration::ZERO, since: None }
    }

    /// Whether any is left.
    fn allows(&mut self, now: Instant) -> bool {
        let since = self.since.replace(now).unwrap_or(now);
        let grown = now.saturating_duration_since(since) / self.share;
        self.left = (self.left + grown.saturating_sub(self.owed)).min(self.most);
        self.owed = self.owed.saturating_sub(grown);
        self.left > Duration::ZERO
    }

    fn spend(&mut self, spent: Duration) {
        self.owed += spent.saturating_sub(self.left);
        self.left = self.left.saturating_sub(spent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many descriptors there are, records wait no longer than they may; what a long run found comes with later ones.
    #[test]
    fn a_long_run_holds_up_nothing() {
        let (take, taken) = mpsc::channel::<Duration>();
        let look = move || {
            std::thread::sleep(taken.recv().unwrap_or_default());
            Ok(vec![7])
        };
        let mut again = Again { finder: Some(Finder::start(look).unwrap()), ..Again::new(None) };
        let long = Duration::from_millis(600);
        take.send(long).unwrap();
        let begun = Instant::now();
        assert_eq!(again.walk(|| false), None, "no more room");
        again.ask();
        assert_eq!((again.run(), again.walk(|| true)), (None, None), "one at a time");
        assert!(begun.elapsed() < long / 2, "{:?}", begun.elapsed());
        // It has taken more than its share by then.
        again.credit.spend(2 * CREDIT);
        let found = std::iter::repeat_with(|| {
            std::thread::sleep(Duration::from_millis(10));
            again.run()
        });
        assert_eq!(found.take(1000).flatten().next(), Some(vec![7]));
        // Who asked meanwhile still waits.
        assert!(again.due && again.walk(|| true).is_none());
        again.credit = Credit::default();
        take.send(Duration::ZERO).unwrap();
        assert_eq!((again.run(), again.due), (None, false));
    }

    /// A process may have many descriptors, or the processor be busy: records wait for a run that takes longer than usual.
    #[test]
    fn a_run_is_waited_for() {
        let look = || {
            std::thread::sleep(4 * LOOK);
            Ok(vec![7])
        };
        let mut again = Again { finder: Some(Finder::start(look).unwrap()), ..Again::new(None) };
        let mut looks = 0;
        let found = again.walk(|| {
            looks += 1;
            true
        });
        assert_eq!(found, Some(vec![7]));
        assert!(looks > 0);
        again.waits.spend(2 * WAIT);
        assert_eq!(again.walk(|| true), None, "records have waited for their share of the time");
        let mut slow = Again {
            finder: Some(
                Finder::start(|| {
                    std::thread::sleep(3 * WAIT);
                    Ok(vec![7])
                })
                .unwrap(),
            ),
            ..Again::new(None)
        };
        assert_eq!(slow.walk(|| true), None, "not for ever");
    }

    #[test]
    fn failures_in_a_row_are_reported_once() {
        let answers = [Err(libc::EMFILE), Err(libc::ENOMEM), Ok(vec![7]), Err(libc::EIO)];
        let mut answers = answers.into_iter();
        let look = move || answers.next().unwrap().map_err(io::Error::from_raw_os_error);
        let mut again = Again { finder: Some(Finder::start(look).unwrap()), ..Again::new(None) };
        let mut run = || {
            again.credit = Credit::default();
            assert!(again.hand(Instant::now()));
            let found = again.found(Duration::from_secs(10));
            (found, again.failure().and_then(|error| error.raw_os_error()))
        };
        assert_eq!(run(), (None, Some(libc::EMFILE)));
        assert_eq!(run(), (None, None), "it was said");
        assert_eq!(run(), (Some(vec![7]), None));
        assert_eq!(run(), (None, Some(libc::EIO)), "it went well in between");
    }

    #[test]
    fn the_iterator_takes_its_share_of_the_time() {
        let (mut credit, start) = (Credit::default(), Instant::now());
        let mut spent = Duration::ZERO;
        // Asked for every five milliseconds, with runs of three.
        for tick in 0..4000 {
            if credit.allows(start + tick * Duration::from_millis(5)) {
                credit.spend(Duration::from_millis(3));
                spent += Duration::from_millis(3);
            }
        }
        let share = Duration::from_secs(20) / SHARE;
        assert!(spent >= share && spent <= share + CREDIT + Duration::from_millis(3), "{spent:?}");
        // One long run is paid for before the next.
        let later = start + Duration::from_secs(3600);
        assert!(credit.allows(later));
        credit.spend(Duration::from_secs(1));
        assert!(!credit.allows(later + Duration::from_secs(18)));
        assert!(credit.allows(later + Duration::from_secs(20)));
    }
}
