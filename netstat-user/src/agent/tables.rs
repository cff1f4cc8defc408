//! The kernel's tables of this moment, and the processes that hold their sockets.

use super::client::Client;
use super::keeper::Ask;
use super::sight::{Peer, Sight};
use super::{Lists, Spaces};
use crate::model::{ListedRow, NamespaceTables, Owner, RowTest, RowsWanted, SocketRow, reason};
use crate::query::{Answer, Link, ROWS};
use crate::sys::Scarce;
use bytes::BytesMut;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// Links in one frame.
const LINKS: usize = 16 << 10;

impl<L: Lists> Client<L> {
    /// Sends the holders of the sockets with these inodes, or of all where none is named.
    ///
    /// # Errors
    /// The connection's, or the agent ends.
    pub async fn holders(&mut self, of: Vec<u64>, sight: Sight) -> io::Result<()> {
        let (lists, peer) = (Arc::clone(&self.house.lists), self.peer);
        let look = move || {
            let mut links = lists.holders()?;
            let sight = now(&*lists, &peer, &sight);
            let of: HashSet<u64> = of.into_iter().collect();
            links.retain(|link| (of.is_empty() || of.contains(&link.inode)) && sight.holds(link.pid));
            let mut out = BytesMut::with_capacity(links.len() * 12 + 64);
            put_links(&mut out, &links);
            Answer::End.encode(&mut out);
            Ok(out)
        };
        let looked: io::Result<BytesMut> = self.counter().workers.run(look).await?;
        match looked {
            Ok(out) => self.send(&out).await,
            Err(error) => {
                self.refuse(&format!("the agent cannot look into every process: {}", reason(&error).to_lowercase()))
                    .await
            }
        }
    }

    /// The rows are read, left out where they are not wanted, given their owners and encoded in one go, on a thread for what blocks. The processes
    /// are looked into once at most: to leave out rows, and to send their holders.
    ///
    /// # Errors
    /// The connection's, or the agent ends.
    pub async fn rows(&mut self, wanted: RowsWanted, recorded: bool, holders: bool, sight: Sight) -> io::Result<()> {
        let (lists, asks, peer) = (Arc::clone(&self.house.lists), self.house.asks.clone(), self.peer);
        let read = move || -> io::Result<Result<BytesMut, String>> {
            let spaces = match (wanted.netns, &sight) {
                (Some(netns), _) => Spaces::One(netns, peer.pid),
                (None, Sight::All) => Spaces::All,
                (None, Sight::Own(own)) => Spaces::These(&own.namespaces),
            };
            let mut spaces = match lists.tables(&wanted, &spaces) {
                Ok(Some(spaces)) => spaces,
                Ok(None) => return Ok(Err("the agent cannot find the network namespace".into())),
                Err(error) => {
                    let why = Scarce::of(&error).map_or_else(|| reason(&error), Scarce::words);
                    return Ok(Err(format!("the agent cannot find every network namespace: {why}")));
                }
            };
            let only = wanted.only.as_ref();
            if let Some(only) = only {
                // Whose they are is looked at below.
                retain(&mut spaces, |row, netns, _| only.passes(&ListedRow { row, netns, held: &|_| None }));
            }
            if recorded {
                let (answer, named) = oneshot::channel();
                let ask = Ask::Recorded { spaces, uid: sight.user(), answer };
                asks.blocking_send(ask).map_err(|_| io::ErrorKind::BrokenPipe)?;
                spaces = named.blocking_recv().map_err(io::Error::other)?;
                // Of the user's own sockets, all of them.
                let tables =
                    spaces.iter_mut().flat_map(|space| &mut space.tables).filter_map(|(_, table)| table.as_mut().ok());
                tables.for_each(|table| table.recorded.retain(|(_, owner)| !sight.hides_owner(owner, sight.user())));
            }
            let pids: HashSet<u32> = only.map(RowTest::pids).unwrap_or_default().into_iter().collect();
            let mut links = None;
            if holders || !pids.is_empty() {
                // No row, no holder. Where the agent may not look into every process, the client finds the holders.
                let some = spaces.iter().flat_map(NamespaceTables::inodes).next().is_some();
                links = if some { lists.holders().ok() } else { Some(Vec::new()) };
            }
            let sight = now(&*lists, &peer, &sight);
            spaces.retain(|space| sight.has(space.netns));
            if spaces.is_empty() && wanted.netns.is_some() {
                return Ok(Err("the agent cannot find the network namespace".into()));
            }
            links.iter_mut().for_each(|links| links.retain(|link| sight.holds(link.pid)));
            if let (Some(only), false, Some(links)) = (only, pids.is_empty(), &links) {
                let mut held: HashMap<u64, Vec<u32>> = HashMap::new();
                let named = links.iter().filter(|link| pids.contains(&link.pid));
                named.for_each(|link| held.entry(link.inode).or_default().push(link.pid));
                retain(&mut spaces, |row, netns, owner| {
                    let holders = held.get(&row.inode).map_or(&[][..], Vec::as_slice);
                    let owners = || holders.iter().copied().chain(owner.map(|owner| owner.pid));
                    let is_theirs = |pids: &[u32]| Some(owners().any(|owner| pids.contains(&owner)));
                    only.passes(&ListedRow { row, netns, held: &is_theirs })
                });
            }
            let mut out = BytesMut::new();
            put_tables(&mut out, &spaces);
            if let (true, Some(mut links)) = (holders, links) {
                let shown: HashSet<u64> = spaces.iter().flat_map(NamespaceTables::inodes).collect();
                links.retain(|link| shown.contains(&link.inode));
                // That nobody holds them is an answer, too.
                if links.is_empty() {
                    Answer::Links(Vec::new()).encode(&mut out);
                }
                put_links(&mut out, &links);
            }
            Answer::End.encode(&mut out);
            Ok(Ok(out))
        };
        match self.counter().workers.run(read).await?? {
            Ok(out) => self.send(&out).await,
            Err(why) => self.refuse(&why).await,
        }
    }
}

/// What is shown of what has been read: what the peer could see before and can see after it.
fn now(lists: &impl Lists, peer: &Peer, before: &Sight) -> Sight {
    match before {
        Sight::All => Sight::All,
        Sight::Own(_) => before.and(&lists.own_since(peer, Some(Instant::now()))),
    }
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
