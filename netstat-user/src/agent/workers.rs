//! Threads for what blocks. They are made before the agent serves: a machine without room for another thread later stops nobody.

use super::answer_memory::NoRoom;
use super::turn_queue::{TurnLimits, TurnQueue};
use crate::sys::{self, Awaited};
use std::io;
use std::sync::Arc;
use std::thread;
use tokio::sync::oneshot;

/// How many jobs of one user may wait: those that were given up stay until it is their turn.
const MOST_WAITING: usize = 1024;

type WorkerJob = Box<dyn FnOnce() + Send>;

/// Some threads that take jobs of users, who take turns.
pub struct Workers {
    jobs: Arc<TurnQueue<WorkerJob>>,
}

/// The threads, for the jobs of one user.
#[derive(Clone)]
pub struct UserWorkers {
    jobs: Arc<TurnQueue<WorkerJob>>,
    user: u32,
}

impl Workers {
    /// Makes the threads; each calls `begin` first. At most `each` of them work for the same user at a time.
    ///
    /// # Errors
    /// The kernel's, where it has no room for a thread.
    pub fn new(name: &str, threads: usize, each: usize, begin: fn()) -> io::Result<Self> {
        let limits = TurnLimits { of_user: MOST_WAITING, of_all: usize::MAX, at_a_time: each };
        let workers = Self { jobs: Arc::new(TurnQueue::new(limits)) };
        for _ in 0..threads {
            let jobs = Arc::clone(&workers.jobs);
            let work = move || {
                begin();
                jobs.work(|job| job());
            };
            thread::Builder::new().name(name.into()).spawn(work).map_err(sys::no_thread)?;
        }
        Ok(workers)
    }

    /// The threads, for the jobs of this user.
    pub fn of(&self, user: u32) -> UserWorkers {
        UserWorkers { jobs: Arc::clone(&self.jobs), user }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs.end();
    }
}

impl UserWorkers {
    /// Hands over a job.
    pub fn hand(&self, job: impl FnOnce() + Send + 'static) {
        self.jobs.push(self.user, Box::new(job));
    }

    /// Runs a job on one of the threads, and waits for its result. If the caller has gone, the job is not started; a long job has to check for that.
    ///
    /// # Errors
    /// The job panicked, the threads have ended, or too many of this user's jobs wait.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce(&Awaited) -> T + Send + 'static) -> io::Result<T> {
        let (done, result) = oneshot::channel();
        let (awaited, _waiting) = Awaited::begin();
        let job = move || {
            if !awaited.is_over() {
                drop(done.send(job(&awaited)));
            }
        };
        if !self.jobs.try_push(self.user, Box::new(job)) {
            return Err(NoRoom::Crowded.into());
        }
        result.await.map_err(io::Error::other)
    }

    /// Runs a job that needs something that others may have: a lock, or memory. The thread takes it when it starts the job, so that a job that waits for
    /// its turn, or whose caller has gone, holds none. `wait` returns when it may be free, or with the result where the job is not needed any more.
    ///
    /// # Errors
    /// As [`UserWorkers::run`], and those of `wait`.
    pub async fn run_with<N, T: Send + 'static, W: Future<Output = io::Result<Option<T>>>>(
        &self,
        wait: impl Fn() -> W,
        take: impl Fn() -> Option<N> + Clone + Send + 'static,
        job: impl FnOnce(&Awaited, N) -> T + Send + 'static,
    ) -> io::Result<T> {
        let mut waiting = job;
        loop {
            if let Some(known) = wait().await? {
                return Ok(known);
            }
            let take = take.clone();
            let try_to = move |awaited: &Awaited| match take() {
                Some(needed) => Ok(waiting(awaited, needed)),
                None => Err(waiting),
            };
            match self.run(try_to).await? {
                Ok(done) => return Ok(done),
                // Others took it first.
                Err(job) => waiting = job,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::lock;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::{Mutex, mpsc};
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    /// However much one user has to be done, and however long that takes, a thread is free for another one.
    #[test]
    fn one_user_does_not_have_all_threads() {
        let workers = Workers::new("test", 2, 1, || ()).unwrap();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let (done, ended) = mpsc::channel();
        let job = |user: u32, waits: bool| {
            let (gate, done) = (Arc::clone(&gate), done.clone());
            workers.of(user).hand(move || {
                if waits {
                    let _ = lock(&gate).recv();
                }
                let _ = done.send(user);
            });
        };
        (0..8).for_each(|_| job(7, true));
        (0..3).for_each(|_| job(8, false));
        let next = || ended.recv_timeout(Duration::from_secs(10)).ok();
        assert_eq!([(); 3].map(|()| next()), [Some(8); 3]);
        (0..8).for_each(|_| go.send(()).unwrap());
        assert_eq!([(); 8].map(|()| next()), [Some(7); 8]);
        // What waits is done all the same when there will be no more.
        job(9, false);
        drop(workers);
        assert_eq!(next(), Some(9));
    }

    #[test]
    fn what_nobody_waits_for_is_not_begun() {
        let workers = Workers::new("test", 1, 1, || ()).unwrap();
        let (go, gate) = mpsc::channel::<()>();
        workers.of(7).hand(move || assert!(gate.recv().is_ok()));
        let (done, ended) = mpsc::channel();
        let (mine, theirs, others) = (workers.of(7), done.clone(), workers.of(8));
        let mut given_up = Box::pin(mine.run(move |_| theirs.send("given up")));
        let mut context = Context::from_waker(Waker::noop());
        assert!(given_up.as_mut().poll(&mut context).is_pending());
        drop(given_up);
        // However many are given up, they take no more room than that.
        let refused = (0..2 * MOST_WAITING).find_map(|_| match pin!(mine.run(|_| ())).poll(&mut context) {
            Poll::Ready(refused) => refused.err().map(|error| error.kind()),
            Poll::Pending => None,
        });
        assert_eq!(refused, Some(io::ErrorKind::QuotaExceeded));
        others.hand(move || done.send("waited for").unwrap());
        go.send(()).unwrap();
        assert_eq!(ended.iter().collect::<Vec<_>>(), ["waited for"]);
    }
}
