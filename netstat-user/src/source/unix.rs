//! Where the rows of UNIX sockets come from: /proc/net/unix alone has the counts of references, and `sock_diag` alone has names that end where they
//! end. Each row is from the former and confirmed by the latter.

use super::KernelSource;
use crate::diag::loaded::{Part, loads_nothing};
use crate::diag::unix::{self as diag, show};
use crate::diag::{Channel, DiagError};
use crate::model::UnixSocket;
use crate::proc::netns;
use crate::proc::unix::{self, Known, UnixRows};
use std::io;
use std::path::Path;

/// The UNIX sockets of a network namespace.
#[derive(Debug)]
pub struct UnixTable {
    text: Vec<u8>,
    /// `None` where `sock_diag` is not to be had.
    known: Option<Known>,
}

impl UnixTable {
    /// Its rows, in the kernel's order.
    pub fn rows(&self) -> UnixRows<'_> {
        match &self.known {
            Some(known) => unix::parse_known(&self.text, known).0,
            None => unix::parse(&self.text),
        }
    }
}

impl KernelSource {
    /// The UNIX sockets of the namespace whose `net/` is below `root`; `None` where the kernel has no such table or does not let us see it.
    ///
    /// # Errors
    /// Any other failure to read it.
    pub fn unix(&self, root: &Path) -> io::Result<Option<UnixTable>> {
        let confirmed = || loads_nothing(&self.root, Part::Unix) && super::is_kernels(&self.root.join("net/unix"));
        let ask = || netns::inside(&self.root, root, dump).map_err(DiagError::from).and_then(|sockets| sockets);
        let first = if confirmed() { ask() } else { Ok(None) };
        let Some(text) = unix::read(root)? else { return Ok(None) };
        let known = match first {
            Ok(Some(sockets)) => {
                let mut known = Known::default();
                known.add(&sockets);
                // What is in the table and was not there before may still be there.
                if !unix::parse_known(&text, &known).1
                    && let Ok(Some(sockets)) = ask()
                {
                    known.add(&sockets);
                }
                Some(known)
            }
            Ok(None) => None,
            Err(error) => {
                self.falls.note("names of UNIX sockets by sock_diag", &error, error.is_unsupported());
                None
            }
        };
        Ok(Some(UnixTable { text, known }))
    }
}

/// The UNIX sockets of the calling thread's namespace.
fn dump() -> Result<Option<Vec<UnixSocket>>, DiagError> {
    diag::dump(&mut Channel::open()?, show::NAME).map(Some)
}
