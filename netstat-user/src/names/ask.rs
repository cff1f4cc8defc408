//! Questions to the C library, several at once, on threads that nobody has to wait for.

use crate::sys::lock;
use crate::sys::resolver;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Threads at most. A dead name server holds each for as long as the C library is patient, some 10 s.
const THREADS: usize = 32;
/// glibc's resolver is content with far less than the usual 2 MiB.
const STACK: usize = 512 * 1024;

/// What is asked; the order is the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NameQuestion {
    /// Every service and every protocol.
    Ports,
    /// The name of a user.
    User(u32),
    /// The name of a network.
    Network(Ipv4Addr),
    /// The name of a host.
    Host(IpAddr),
}

impl NameQuestion {
    /// The user that is asked for.
    pub const fn uid(self) -> Option<u32> {
        match self {
            Self::User(uid) => Some(uid),
            _ => None,
        }
    }
}

/// The answer to a [`NameQuestion`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameAnswer {
    /// The name, if it has one.
    Name(Option<Vec<u8>>),
    /// It is not known whether it has a name, and why.
    Failed(Errno),
    /// Services (protocol, port, name) and protocols (number, name).
    Ports(Vec<(Vec<u8>, u16, Vec<u8>)>, Vec<(u16, Vec<u8>)>),
}

/// Who answers.
pub type Answerer = fn(NameQuestion) -> NameAnswer;

/// Asks the C library.
pub fn library(question: NameQuestion) -> NameAnswer {
    match question {
        NameQuestion::Ports => NameAnswer::Ports(resolver::services(), resolver::protocols()),
        NameQuestion::User(uid) => resolver::user(uid).map_or_else(NameAnswer::Failed, NameAnswer::Name),
        NameQuestion::Network(address) => NameAnswer::Name(resolver::network(address)),
        NameQuestion::Host(address) => NameAnswer::Name(resolver::host(address)),
    }
}

/// Questions under way.
#[derive(Debug)]
pub struct Pool {
    resolver: Answerer,
    work: Arc<Mutex<OpenQuestions>>,
    answers: Receiver<(NameQuestion, NameAnswer)>,
    sender: Sender<(NameQuestion, NameAnswer)>,
    open: usize,
}

#[derive(Debug, Default)]
struct OpenQuestions {
    questions: VecDeque<NameQuestion>,
    threads: usize,
}

impl Pool {
    /// Without any question yet.
    pub fn new(resolver: Answerer) -> Self {
        let (sender, answers) = mpsc::channel();
        Self { resolver, work: Arc::default(), answers, sender, open: 0 }
    }

    /// Questions without an answer so far.
    pub const fn open(&self) -> usize {
        self.open
    }

    /// Asks, without waiting. Returns how many cannot be asked, for want of a thread.
    pub fn ask(&mut self, questions: Vec<NameQuestion>) -> usize {
        self.open += questions.len();
        let mut work = lock(&self.work);
        work.questions.extend(questions);
        while work.threads < THREADS.min(work.questions.len()) {
            let (resolver, shared, sender) = (self.resolver, Arc::clone(&self.work), self.sender.clone());
            let thread = thread::Builder::new().name("names".to_owned()).stack_size(STACK);
            if thread.spawn(move || answer(resolver, &shared, &sender)).is_err() {
                break;
            }
            work.threads += 1;
        }
        if work.threads > 0 {
            return 0;
        }
        // Not one thread to be had: everything stays a number.
        let unasked = work.questions.len();
        self.open -= unasked;
        work.questions.clear();
        unasked
    }

    /// The next answer, `None` if none comes in time.
    pub fn next(&mut self, timeout: Duration) -> Option<(NameQuestion, NameAnswer)> {
        let answer = self.answers.recv_timeout(timeout).ok()?;
        self.open -= 1;
        Some(answer)
    }
}

/// What a thread does: answers until nothing is asked any more.
fn answer(resolver: Answerer, work: &Mutex<OpenQuestions>, sender: &Sender<(NameQuestion, NameAnswer)>) {
    loop {
        let mut open = lock(work);
        let Some(question) = open.questions.pop_front() else {
            open.threads -= 1;
            return;
        };
        drop(open);
        // Nobody listens once the program is about to end.
        let _ = sender.send((question, resolver(question)));
    }
}
