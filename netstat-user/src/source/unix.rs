//! Where the rows of UNIX sockets come from: /proc/net/unix alone has the counts of references, and `sock_diag` alone has names that end where they
//! end. Each row is from the former and confirmed by the latter.

use super::KernelSource;
use crate::diag::loaded::{Part, loads_nothing};
use crate::diag::unix::{self as diag, show};
use crate::diag::{Channel, DiagError};
use crate::model::{UnixRow, UnixSocket};
use crate::proc::netns;
use crate::proc::unix::{self, Known, UnixRows};
use crate::sys::descriptors_are_few;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::thread::{self, Builder};

/// The UNIX sockets of a network namespace.
#[derive(Debug)]
pub struct UnixTable {
    text: Vec<u8>,
    /// The rows without their names, and where in the text these are.
    rows: Vec<(UnixRow<'static>, Range<usize>)>,
    bogus: usize,
}

impl UnixTable {
    /// Its rows, in the kernel's order.
    pub fn rows(&self) -> UnixRows<'_> {
        let row = |(row, path): &(UnixRow<'static>, Range<usize>)| UnixRow { path: &self.text[path.clone()], ..*row };
        UnixRows { rows: self.rows.iter().map(row).collect(), bogus: self.bogus }
    }
}

impl KernelSource {
    /// The UNIX sockets of the namespace whose `net/` is below `root`; `None` where the kernel has no such table or does not let us see it.
    ///
    /// # Errors
    /// Any other failure to read it.
    pub fn unix(&self, root: &Path) -> io::Result<Option<UnixTable>> {
        let is_confirmed = loads_nothing(&self.root, Part::Unix) && super::is_kernels(&self.root.join("net/unix"));
        let ask = |heard: &mut (dyn FnMut(usize) + Send)| {
            netns::inside(&self.root, root, || dump(heard)).map_err(DiagError::from).and_then(|sockets| sockets)
        };
        let (first, text) =
            if is_confirmed { with_text(ask, || unix::read(root)) } else { (Ok(None), unix::read(root)) };
        let Some(text) = text? else { return Ok(None) };
        let fall = |error: &DiagError| {
            self.falls.note("names of UNIX sockets by sock_diag", error, error.is_unsupported());
        };
        let parsed = match first {
            Ok(Some(sockets)) => {
                let mut known = Known::default();
                known.add(&sockets);
                let (parsed, is_sure) = unix::parse_known(&text, &known);
                // What is in the table and was not in the answer may still be there.
                match if is_sure { Ok(None) } else { ask(&mut |_| {}) } {
                    Ok(Some(sockets)) => {
                        known.add(&sockets);
                        unix::parse_known(&text, &known).0
                    }
                    Ok(None) => parsed,
                    Err(error) => {
                        fall(&error);
                        parsed
                    }
                }
            }
            Ok(None) => unix::parse(&text),
            Err(error) => {
                fall(&error);
                unix::parse(&text)
            }
        };
        let place = |path: &[u8]| {
            // An empty name need not be part of the text.
            let start = if path.is_empty() { 0 } else { path.as_ptr().addr() - text.as_ptr().addr() };
            start..start + path.len()
        };
        let bogus = parsed.bogus;
        let rows = parsed.rows.into_iter().map(|row| (UnixRow { path: b"", ..row }, place(row.path))).collect();
        Ok(Some(UnixTable { text, rows, bogus }))
    }
}

/// Sockets from which on the two lists are read at once: for fewer a thread costs more than it saves.
const MANY: usize = 1000;

/// What `ask` answers and `read` reads, the latter meanwhile on a thread of its own where there turn out to be many sockets.
fn with_text<A, T: Send>(ask: impl FnOnce(&mut (dyn FnMut(usize) + Send)) -> A, read: impl Fn() -> T + Sync) -> (A, T) {
    let (answer, text) = thread::scope(|scope| {
        let mut text = None;
        let answer = ask(&mut |sockets| {
            if sockets == MANY && !descriptors_are_few() {
                text = Builder::new().spawn_scoped(scope, &read).ok();
            }
        });
        (answer, text.and_then(|text| text.join().ok()))
    });
    (answer, text.unwrap_or_else(read))
}

/// The UNIX sockets of the calling thread's namespace; `heard` is given how many there are so far.
fn dump(heard: &mut (dyn FnMut(usize) + Send)) -> Result<Option<Vec<UnixSocket>>, DiagError> {
    let mut sockets = Vec::new();
    diag::each(&mut Channel::open()?, show::NAME, |socket| {
        sockets.push(socket);
        heard(sockets.len());
    })?;
    Ok(Some(sockets))
}
