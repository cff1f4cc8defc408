//! The kernel's tables of this moment, and the processes that hold their sockets.

use super::answer_memory::{AnswerCount, AnswerShare};
use super::client::{Client, RowsAsked, blind};
use super::fold::CountAsked;
use super::keeper::Ask;
use super::peer_read::PeerRead;
use super::sight::Sight;
use super::{Lists, Spaces};
use crate::model::{ListedRow, NamespaceTables, Owner, RowTest, SocketRow};
use crate::query::{Answer, Link, ROWS};
use crate::sys::{self, Awaited};
use bytes::BytesMut;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

/// Links in one frame.
const LINKS: usize = 16 << 10;

impl<L: Lists> Client<L> {
    /// Sends the holders of the sockets with these inodes, or of all where none is named.
    ///
    /// # Errors
    /// The connection's, or the agent ends.
    pub async fn holders(&mut self, of: Vec<u64>, sight: Sight) -> io::Result<()> {
        if let Sight::Own(_) = sight {
            return self.refuse("the agent looks into every process only for whom it shows all").await;
        }
        let lists = Arc::clone(&self.house.lists);
        let look = move |awaited: &Awaited, _: &AnswerShare| {
            let mut links = lists.holders(awaited)?;
            let of: HashSet<u64> = of.into_iter().collect();
            links.retain(|link| of.is_empty() || of.contains(&link.inode));
            let mut out = BytesMut::with_capacity(links.len() * 12 + 64);
            put_links(&mut out, &links);
            Answer::End.encode(&mut out);
            Ok(out)
        };
        let size = AnswerCount::default().bytes_of_rows(self.house.lists.held());
        let (looked, share): (io::Result<BytesMut>, _) = self.have_made(size, look).await?;
        match looked {
            Ok(out) => self.send_made(&out, share).await,
            Err(error) => {
                drop(share);
                self.refuse(&format!("the agent cannot look into every process: {}", sys::why(&error))).await
            }
        }
    }

    /// The rows are read, left out where they are not wanted, given their owners and encoded in one go, on a thread for what blocks.
    ///
    /// # Errors
    /// The connection's, or the agent ends.
    pub async fn rows(&mut self, asked: RowsAsked, sight: Sight) -> io::Result<()> {
        let RowsAsked { wanted, holders, .. } = &asked;
        let links = *holders || !wanted.pids().is_empty();
        let of_these = CountAsked { protos: wanted.protos.clone(), netns: wanted.netns, recent_ns: 0 };
        let count = self.count_of_answer(&sight, of_these).await?;
        // Guests find them themselves.
        let links = if links && sight.user().is_none() { self.house.lists.held() } else { 0 };
        let rows = RowsRead { reading: self.reading(sight), asked };
        let (read, share) = self.have_made(count.bytes_of_rows(links), move |awaited, _| rows.frames(awaited)).await?;
        match read {
            Ok(out) => self.send_made(&out, share).await,
            Err(RowsRefused::Ending) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(refused) => {
                drop(share);
                self.refuse(&refused.to_string()).await
            }
        }
    }

    /// Sends an answer that is made.
    async fn send_made(&mut self, out: &[u8], mut share: AnswerShare) -> io::Result<()> {
        share.keep(out.len());
        share.before_deadline(self.send(out)).await
    }
}

/// Why there are no rows.
#[derive(Debug, thiserror::Error)]
enum RowsRefused {
    #[error("the agent cannot find the network namespace")]
    NoNamespace,
    #[error("the agent cannot find every network namespace: {}", sys::why(.0))]
    Unread(#[source] io::Error),
    #[error("{}", blind(.0))]
    Unseen(#[source] io::Error),
    #[error("the agent ends")]
    Ending,
}

/// Rows that are read for a client.
struct RowsRead<L> {
    reading: PeerRead<L>,
    asked: RowsAsked,
}

impl<L: Lists> RowsRead<L> {
    /// The rows and their holders, as the frames of an answer. The processes are looked into once at most: to leave out rows, and to send their
    /// holders.
    fn frames(self, awaited: &Awaited) -> Result<BytesMut, RowsRefused> {
        let mut spaces = self.read(awaited)?;
        if self.asked.recorded {
            spaces = self.record(spaces)?;
        }
        let pids: HashSet<u32> = self.asked.wanted.pids().into_iter().collect();
        let links = (self.asked.holders || !pids.is_empty()).then(|| self.links(&spaces, awaited)).flatten();
        let sight = self.reading.confirmed().map_err(RowsRefused::Unseen)?;
        spaces.retain(|space| sight.has(space.netns));
        if spaces.is_empty() && self.asked.wanted.netns.is_some() {
            return Err(RowsRefused::NoNamespace);
        }
        if let (Some(only), false, Some(links)) = (&self.asked.wanted.only, pids.is_empty(), &links) {
            retain_held(&mut spaces, only, &pids, links);
        }
        let mut out = BytesMut::new();
        put_tables(&mut out, &spaces);
        if let (true, Some(mut links)) = (self.asked.holders, links) {
            let shown: HashSet<u64> = spaces.iter().flat_map(NamespaceTables::inodes).collect();
            links.retain(|link| shown.contains(&link.inode));
            // That nobody holds them is an answer, too.
            if links.is_empty() {
                Answer::Links(Vec::new()).encode(&mut out);
            }
            put_links(&mut out, &links);
        }
        Answer::End.encode(&mut out);
        Ok(out)
    }

    /// The tables, without the rows of which their own values say that they are not wanted.
    fn read(&self, awaited: &Awaited) -> Result<Vec<NamespaceTables>, RowsRefused> {
        let spaces = match (self.asked.wanted.netns, &self.reading.sight) {
            (Some(netns), _) => Spaces::One(netns, self.reading.peer.pid),
            (None, Sight::All) => Spaces::All,
            (None, Sight::Own(own)) => Spaces::These(&own.namespaces),
        };
        let tables = self.reading.lists.tables(&self.asked.wanted, &spaces, awaited).map_err(RowsRefused::Unread)?;
        let mut spaces = tables.ok_or(RowsRefused::NoNamespace)?;
        if let Some(only) = &self.asked.wanted.only {
            // Whose they are is looked at later.
            retain(&mut spaces, |row, netns, _| only.passes(&ListedRow { row, netns, held: &|_| None }));
        }
        Ok(spaces)
    }

    /// Adds the owners that events recorded: of the user's own sockets, all that are shown.
    fn record(&self, spaces: Vec<NamespaceTables>) -> Result<Vec<NamespaceTables>, RowsRefused> {
        let (uid, sight) = (self.reading.sight.user(), &self.reading.sight);
        let named = self.reading.ask_keeper(|answer| Ask::Recorded { spaces, uid, answer });
        let mut spaces = named.map_err(|_| RowsRefused::Ending)?;
        let tables = spaces.iter_mut().flat_map(|space| &mut space.tables).filter_map(|(_, table)| table.as_mut().ok());
        tables.for_each(|table| table.recorded.retain(|(_, owner)| !sight.hides_owner(owner, uid)));
        Ok(spaces)
    }

    /// The links from processes to these sockets: none where there is no row. `None` if the agent may not inspect every process, or does not for this
    /// peer: then the client inspects those that it may.
    fn links(&self, spaces: &[NamespaceTables], awaited: &Awaited) -> Option<Vec<Link>> {
        let some = spaces.iter().flat_map(NamespaceTables::inodes).next().is_some();
        match &self.reading.sight {
            Sight::Own(_) if some => None,
            _ if some => self.reading.lists.holders(awaited).ok(),
            _ => Some(Vec::new()),
        }
    }
}

/// Leaves out the rows of sockets that none of these processes holds, where the condition asks for that.
fn retain_held(spaces: &mut [NamespaceTables], only: &RowTest, pids: &HashSet<u32>, links: &[Link]) {
    let mut held: HashMap<u64, Vec<u32>> = HashMap::new();
    let named = links.iter().filter(|link| pids.contains(&link.pid));
    named.for_each(|link| held.entry(link.inode).or_default().push(link.pid));
    retain(spaces, |row, netns, owner| {
        let holders = held.get(&row.inode).map_or(&[][..], Vec::as_slice);
        let owners = || holders.iter().copied().chain(owner.map(|owner| owner.pid));
        let is_theirs = |pids: &[u32]| Some(owners().any(|owner| pids.contains(&owner)));
        only.passes(&ListedRow { row, netns, held: &is_theirs })
    });
}

/// Leaves out the rows that are not wanted, given their namespaces and the owners that events recorded.
fn retain(spaces: &mut [NamespaceTables], wanted: impl Fn(&SocketRow, Option<u32>, Option<&Owner>) -> bool) {
    for space in spaces {
        for table in space.tables.iter_mut().filter_map(|(_, table)| table.as_mut().ok()) {
            table.retain(|row, owner| wanted(row, space.netns, owner));
        }
    }
}

/// Appends links as frames.
fn put_links(out: &mut BytesMut, links: &[Link]) {
    links.chunks(LINKS).for_each(|links| Answer::Links(links.to_vec()).encode(out));
}

/// Appends tables as frames.
fn put_tables(out: &mut BytesMut, spaces: &[NamespaceTables]) {
    for space in spaces {
        Answer::Namespace { netns: space.netns.unwrap_or(0), name: space.name.clone() }.encode(out);
        for &(proto, ref table) in &space.tables {
            let table = match table {
                Ok(table) => table,
                Err(error) => {
                    let errno = error.raw_os_error().map_or(0, i32::unsigned_abs);
                    Answer::NoTable { proto, errno }.encode(out);
                    continue;
                }
            };
            let mut recorded = table.recorded.iter().copied().peekable();
            for (number, rows) in table.rows.chunks(ROWS).enumerate() {
                let first = (number * ROWS) as u32;
                let mine = std::iter::from_fn(|| recorded.next_if(|(at, _)| *at < first + rows.len() as u32));
                let recorded = mine.map(|(at, owner)| (at - first, owner)).collect();
                Answer::Rows { proto, rows: rows.to_vec(), recorded }.encode(out);
            }
            Answer::TableEnd { proto, bogus: table.bogus as u64 }.encode(out);
        }
    }
}
