//! Tables and holders, put together from the frames they come in.

use super::{AskError, Asking};
use crate::model::{NamespaceTables, Proto, RowsWanted, SocketTable};
use crate::query::{Answer, Link, Request};
use crate::sys::Scarce;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The tables that were asked for.
#[derive(Debug)]
pub struct AgentTables {
    asking: Asking,
    protos: Vec<Proto>,
    /// Whether the holders were asked for, too.
    holders: bool,
}

/// Process and inode of every link, in the order of /proc.
type AgentLinks = Vec<(u32, u64)>;

impl AgentTables {
    /// Asks for the rows that are wanted, `recorded` with the owners that events recorded, and for their `holders`. The agent is to begin its answer
    /// within `patience`.
    ///
    /// # Errors
    /// It does not.
    pub fn ask(
        path: &Path,
        patience: Duration,
        wanted: RowsWanted,
        recorded: bool,
        holders: bool,
    ) -> Result<Self, AskError> {
        let protos = wanted.protos.clone();
        let request = Request::Rows { wanted, recorded, holders }.fitting();
        Ok(Self { asking: Asking::within(patience, path, &request)?, protos, holders })
    }

    /// Whether the agent's process and user numbers are ours.
    pub fn is_here(&self) -> bool {
        self.asking.is_here()
    }

    /// Reads them all, and the holders where they were asked for and the agent has them.
    ///
    /// # Errors
    /// The agent does not answer as it should.
    pub fn read(mut self) -> Result<(Vec<NamespaceTables>, Option<AgentLinks>), AskError> {
        let mut links = None;
        let wanted = self.holders.then_some(&mut links);
        let spaces = spaces(&self.protos, wanted, || self.asking.answer())?;
        self.asking.close();
        Ok((spaces, links))
    }
}

/// The processes that hold sockets, which were asked for.
#[derive(Debug)]
pub struct AgentHolders(Asking);

impl AgentHolders {
    /// Asks for them, or for those of the sockets with these inodes, where one is named. The agent is to begin its answer within `patience`, and may
    /// list others, too.
    ///
    /// # Errors
    /// It does not, or its process numbers are not ours.
    pub fn ask(path: &Path, patience: Duration, of: Vec<u64>) -> Result<Self, AskError> {
        let asking = Asking::within(patience, path, &Request::Holders { of }.fitting())?;
        if asking.is_here() { Ok(Self(asking)) } else { Err(AskError::Elsewhere) }
    }

    /// Process and inode of every link, in the order of /proc.
    ///
    /// # Errors
    /// The agent does not answer as it should.
    pub fn read(self) -> Result<AgentLinks, AskError> {
        let mut all = Vec::new();
        self.0.each(|answer| match answer {
            Answer::Links(links) => {
                all.extend(links.iter().map(of_link));
                Ok(())
            }
            _ => Err(AskError::OffTopic),
        })?;
        Ok(all)
    }
}

/// Process and inode.
const fn of_link(link: &Link) -> (u32, u64) {
    (link.pid, link.inode)
}

/// Puts the answers together again; the holders that come behind the tables go to `links`, where they were asked for.
fn spaces(
    protos: &[Proto],
    mut links: Option<&mut Option<AgentLinks>>,
    mut next: impl FnMut() -> Result<Answer, AskError>,
) -> Result<Vec<NamespaceTables>, AskError> {
    let mut spaces: Vec<NamespaceTables> = Vec::new();
    // The table whose rows come.
    let mut table = SocketTable::default();
    loop {
        let answer = next()?;
        if matches!(answer, Answer::Unknown(_)) {
            continue;
        }
        if let Answer::Namespace { netns, name } = answer {
            spaces.push(NamespaceTables { netns: Some(netns), name, tables: Vec::with_capacity(protos.len()) });
            continue;
        }
        if let (Answer::Links(more), Some(links)) = (&answer, &mut links) {
            links.get_or_insert_default().extend(more.iter().map(of_link));
            continue;
        }
        if answer == Answer::End {
            let whole = spaces.iter().all(|space| space.tables.len() == protos.len());
            return if whole { Ok(spaces) } else { Err(AskError::OffTopic) };
        }
        let space = spaces.last_mut().ok_or(AskError::OffTopic)?;
        let expected = protos.get(space.tables.len()).copied();
        match answer {
            Answer::Rows { proto, rows, recorded } if expected == Some(proto) => {
                let before = table.rows.len() as u32;
                table.recorded.extend(recorded.into_iter().map(|(at, owner)| (before + at, owner)));
                if before == 0 {
                    table.rows = rows;
                } else {
                    table.rows.extend(rows);
                }
            }
            Answer::TableEnd { proto, bogus } if expected == Some(proto) => {
                table.bogus = bogus as usize;
                space.tables.push((proto, Ok(std::mem::take(&mut table))));
            }
            Answer::NoTable { proto, errno } if expected == Some(proto) => {
                let error = match errno {
                    0 => io::ErrorKind::Other.into(),
                    errno => io::Error::from_raw_os_error(errno.cast_signed()),
                };
                if let Some(scarce) = Scarce::of(&error) {
                    return Err(AskError::Short(scarce));
                }
                space.tables.push((proto, Err(error)));
            }
            _ => return Err(AskError::OffTopic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Comm, Endpoint, Grade, Owner, SocketRow};

    fn row(proto: Proto, inode: u64) -> SocketRow {
        let end = Endpoint { addr: [127, 0, 0, 1].into(), port: 1 };
        SocketRow { inode, ..SocketRow::bare(proto, end, end, 1) }
    }

    fn read(answers: Vec<Answer>) -> Result<Vec<NamespaceTables>, AskError> {
        let mut answers = answers.into_iter();
        spaces(&[Proto::Tcp, Proto::Udp6], None, || answers.next().ok_or(AskError::OffTopic))
    }

    fn tables() -> Vec<Answer> {
        let owner = Owner { pid: 7, comm: Comm::new(b"x"), grade: Grade::Created, cgroup_id: None, start: 0 };
        let part = |rows: [u64; 2], at| Answer::Rows {
            proto: Proto::Tcp,
            rows: rows.map(|inode| row(Proto::Tcp, inode)).to_vec(),
            recorded: vec![(at, owner)],
        };
        vec![
            Answer::Namespace { netns: 5, name: Some(b"blue".to_vec()) },
            part([1, 0], 1),
            part([0, 4], 0),
            Answer::TableEnd { proto: Proto::Tcp, bogus: 2 },
            Answer::NoTable { proto: Proto::Udp6, errno: 2 },
        ]
    }

    #[test]
    fn the_parts_of_a_table_are_put_together() {
        let spaces = read([tables(), vec![Answer::End]].concat()).unwrap();
        let [NamespaceTables { netns: Some(5), name: Some(_), tables }] = &spaces[..] else { panic!("{spaces:?}") };
        let tcp = tables[0].1.as_ref().unwrap();
        assert_eq!(tcp.rows.iter().map(|row| row.inode).collect::<Vec<_>>(), [1, 0, 0, 4]);
        assert_eq!((tcp.bogus, tcp.recorded.iter().map(|(at, _)| *at).collect::<Vec<_>>()), (2, vec![1, 2]));
        assert_eq!(tables[1].1.as_ref().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_not_whole_or_not_asked_for_is_no_table() {
        let all = tables();
        assert!(read(all[..4].iter().cloned().chain([Answer::End]).collect()).is_err(), "a table is missing");
        assert!(read(all[1..].to_vec()).is_err(), "rows of no namespace");
        let other = Answer::TableEnd { proto: Proto::Raw, bogus: 0 };
        assert!(read([&all[..1], &[other]].concat()).is_err(), "another protocol");
        assert!(read([&all[..], &[Answer::Links(Vec::new()), Answer::End]].concat()).is_err(), "holders");
        assert!(read(all).is_err(), "no end");
    }

    #[test]
    fn holders_come_behind_the_tables_where_they_are_asked_for() {
        let read = |links: &[&[u64]]| {
            let links = links.iter().map(|inodes| inodes.iter().map(|&inode| Link { inode, pid: 7 }).collect());
            let mut answers = tables().into_iter().chain(links.map(Answer::Links)).chain([Answer::End]);
            let mut links = None;
            spaces(&[Proto::Tcp, Proto::Udp6], Some(&mut links), || answers.next().ok_or(AskError::OffTopic)).unwrap();
            links
        };
        assert_eq!(read(&[&[1, 4], &[9]]), Some(vec![(7, 1), (7, 4), (7, 9)]));
        assert_eq!(read(&[&[]]), Some(Vec::new()), "nobody");
        assert_eq!(read(&[]), None, "an agent that does not know");
    }

    /// What runs out in the agent does not run out here: the kernel is asked instead.
    #[test]
    fn what_the_agent_lacks_is_no_answer() {
        let lacks = |errno: i32| {
            read(vec![
                Answer::Namespace { netns: 1, name: None },
                Answer::NoTable { proto: Proto::Tcp, errno: errno.cast_unsigned() },
                Answer::NoTable { proto: Proto::Udp6, errno: 2 },
                Answer::End,
            ])
        };
        assert!(matches!(lacks(24), Err(AskError::Short(Scarce::OpenFiles))));
        assert_eq!(lacks(24).unwrap_err().to_string(), "it has run out of open files");
        assert!(lacks(2).is_ok());
    }
}
