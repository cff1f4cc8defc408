//! Threads for what blocks. They are made before the agent serves: a machine without room for another thread later stops nobody.

use crate::sys;
use crate::sys::lock;
use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use tokio::sync::oneshot;

type WorkerJob = Box<dyn FnOnce() + Send>;

/// Some threads that take jobs in turn.
#[derive(Clone, Debug)]
pub struct Workers {
    jobs: mpsc::Sender<WorkerJob>,
}

impl Workers {
    /// Makes the threads; each calls `begin` first.
    ///
    /// # Errors
    /// The kernel's, where it has no room for a thread.
    pub fn new(name: &str, threads: usize, begin: fn()) -> io::Result<Self> {
        let (jobs, todo) = mpsc::channel::<WorkerJob>();
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..threads {
            let todo = Arc::clone(&todo);
            thread::Builder::new()
                .name(name.into())
                .spawn(move || {
                    begin();
                    loop {
                        // One waits with the lock, the others for the lock.
                        let job = lock(&todo).recv();
                        match job {
                            Ok(job) => job(),
                            Err(_) => return,
                        }
                    }
                })
                .map_err(sys::no_thread)?;
        }
        Ok(Self { jobs })
    }

    /// Hands over a job.
    pub fn hand(&self, job: impl FnOnce() + Send + 'static) {
        // The threads live as long as there is a sender.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Runs a job on one of the threads, and waits for what it returns.
    ///
    /// # Errors
    /// The job ended without returning.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (done, waiting) = oneshot::channel();
        // Whoever asked may have gone.
        self.hand(move || drop(done.send(job())));
        waiting.await.map_err(io::Error::other)
    }
}
