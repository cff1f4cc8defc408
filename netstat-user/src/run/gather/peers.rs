//! The processes at the other ends of sockets.

use super::ListedTable;
use crate::cgroups::Workloads;
use crate::diag::{Channel, DiagError, unix};
use crate::field::{Field, Need, Provider, Subject, Value};
use crate::model::{Comm, Proto, RowsWanted, SocketHolders, UnixSocket};
use crate::proc::addresses;
use crate::proc::netns::{self, FoundNamespaces, NAMES, Namespace, inside};
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::run::table::rows;
use crate::run::table::sources::Sources;
use crate::run::table::spaces::{each, spaces};
use crate::stdio::Written;
use crate::sys::{Scarce, why};
use crate::whose::peer::Peers;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

/// The process at the other end.
#[derive(Debug)]
struct PeerProcess {
    pid: u32,
    comm: Option<Comm>,
    container: Option<String>,
}

impl PeerProcess {
    fn value(&self, field: Field) -> Value<'_> {
        match field {
            Field::PeerPid => Value::Number(self.pid.into()),
            Field::PeerComm => Value::text(self.comm.as_ref().map(Comm::as_bytes)),
            Field::PeerContainer => Value::text(self.container.as_deref().map(str::as_bytes)),
            _ => Value::Null,
        }
    }
}

/// The first process that holds each of some sockets, by inode.
#[derive(Debug, Default)]
struct Holders {
    first: HashMap<u64, PeerProcess>,
    /// All that was found of whoever holds them.
    all: SocketHolders,
}

impl Holders {
    fn find(
        asked: &AskedFor<'_>,
        need: Need,
        inodes: &HashSet<u64>,
        sources: &mut Sources,
        round: &mut Round,
    ) -> Written<Self> {
        let mut all = sources.owners(asked, round, inodes.iter().copied())?;
        let mut workloads = need.meets(Need::CGROUPS).then(|| Workloads::new(&asked.proc));
        let process = |&inode: &u64| {
            let holder = all.first(inode)?;
            let container = workloads.as_mut().and_then(|workloads| {
                workloads.look_up(holder.pid);
                workloads.of(holder.pid)?.container.clone()
            });
            Some((inode, PeerProcess { pid: holder.pid, comm: holder.comm, container }))
        };
        let first = inodes.iter().filter_map(process).collect();
        if let Some(workloads) = &workloads {
            super::report(workloads, round)?;
            all.lose_all_of(workloads.ended());
        }
        Ok(Self { first, all })
    }

    /// The process that holds the sockets, if it is the same for all.
    fn of(&self, inodes: &[u64]) -> Option<&PeerProcess> {
        let mut all = inodes.iter().map(|inode| self.first.get(inode));
        let first = all.next()??;
        all.all(|other| other.is_some_and(|other| other.pid == first.pid)).then_some(first)
    }
}

/// The other ends of Internet sockets.
pub struct InetPeers {
    peers: Peers,
    holders: Holders,
    /// Whether the sockets of every namespace were read.
    sees_all: bool,
}

impl InetPeers {
    /// Reads the sockets of every namespace that can be looked into, and finds out who holds the other ends of the listed ones.
    pub fn gather(
        asked: &AskedFor<'_>,
        need: Need,
        listed: &[ListedTable<'_>],
        sources: &mut Sources,
        round: &mut Round,
    ) -> Written<Self> {
        let has = |protos: &[Proto]| {
            listed.iter().flat_map(|table| table.rows).any(|row| protos.contains(&row.proto) && row.has_peer())
        };
        let pairs = [[Proto::Tcp, Proto::Tcp6], [Proto::Udp, Proto::Udp6], [Proto::UdpLite, Proto::UdpLite6]];
        let protos: Vec<Proto> = pairs.into_iter().filter(|pair| has(pair)).flatten().collect();
        let datagrams = protos.iter().any(|proto| !proto.is_tcp());
        let (mut peers, mut sees_all) = (Peers::default(), true);
        if !protos.is_empty() {
            let FoundNamespaces { namespaces, refused, mut failed } = netns::all(&asked.proc, Path::new(NAMES));
            let mut fail = |error: io::Error| {
                if Scarce::of(&error).is_some() {
                    failed.get_or_insert(error);
                }
            };
            let looked_into = if datagrams { namespaces.clone() } else { Vec::new() };
            let own = |_: &Namespace, root: &Path| addresses::own(root);
            for (namespace, own) in netns::each(&asked.proc, Path::new(NAMES), looked_into, own) {
                // One that cannot be looked into has addresses that nobody knows.
                match own.flatten() {
                    Ok(own) => own.into_iter().for_each(|addr| peers.add_address(namespace.inode, addr)),
                    Err(error) => fail(error),
                }
            }
            let (wanted, found) = (RowsWanted::of(protos), namespaces.len());
            let spaces = rows::everywhere(&asked.options.agent, &sources.source, namespaces, &wanted);
            sees_all = !refused && spaces.len() >= found;
            for space in spaces {
                for (_, table) in space.tables {
                    match table {
                        Ok(table) => table.rows.iter().for_each(|row| peers.add(space.netns.unwrap_or(0), row)),
                        Err(error) => fail(error),
                    }
                }
            }
            sees_all &= failed.is_none();
            if let Some(error) = failed
                && round.finds_no_namespaces()
            {
                round.note(&format!(
                    "not every network namespace could be looked into, peers there are null: {}",
                    why(&error)
                ))?;
            }
        }
        let rows = listed.iter().flat_map(|table| table.rows.iter().map(|row| (row.netns.or(table.netns), row)));
        let inodes = rows.flat_map(|(netns, row)| peers.of(netns.unwrap_or(0), row)).collect();
        let holders = Holders::find(asked, need, &inodes, sources, round)?;
        Ok(Self { peers, holders, sees_all })
    }
}

impl Provider for InetPeers {
    fn provides(&self) -> Need {
        Need::PEERS
    }

    fn unread(&self, subject: &Subject<'_>) -> Need {
        let Subject::Inet { row, netns, .. } = *subject else { return Need::NONE };
        let is_known =
            self.sees_all || !Peers::may_be_elsewhere(row) || !self.peers.of(netns.unwrap_or(0), row).is_empty();
        if is_known { Need::NONE } else { Need::PEERS }
    }

    fn value<'a>(&'a self, subject: &Subject<'a>, field: Field) -> Value<'a> {
        let Subject::Inet { row, netns, .. } = *subject else { return Value::Null };
        let inodes = self.peers.of(netns.unwrap_or(0), row);
        self.holders.of(&inodes).map_or(Value::Null, |process| process.value(field))
    }

    fn has_peer(&self, subject: &Subject<'_>) -> bool {
        let Subject::Inet { row, netns, .. } = *subject else { return false };
        self.peers.of(netns.unwrap_or(0), row).iter().any(|&inode| inode != 0)
    }

    fn has_lost_peer(&self, subject: &Subject<'_>) -> bool {
        let Subject::Inet { row, netns, .. } = *subject else { return false };
        self.peers.of(netns.unwrap_or(0), row).iter().any(|&inode| self.holders.all.has_lost(inode))
    }
}

/// The other ends of UNIX sockets.
pub struct UnixPeers {
    /// Inode of the other end, by that of the socket.
    peers: HashMap<u64, u64>,
    /// The names of other ends that have one, by their inode. An accepted socket has its listener's.
    names: HashMap<u64, Vec<u8>>,
    holders: Holders,
}

impl UnixPeers {
    /// Asks the kernel for the other ends of UNIX sockets of the namespaces that are listed, and finds out who holds those of `inodes`.
    pub fn gather(
        asked: &AskedFor<'_>,
        need: Need,
        inodes: &[u64],
        sources: &mut Sources,
        round: &mut Round,
    ) -> Written<Self> {
        let wanted: HashSet<u64> = inodes.iter().copied().collect();
        let (mut peers, mut names) = (HashMap::new(), HashMap::new());
        let (mut failed, mut unentered) = (None, None);
        for (space, dumped) in each(asked, spaces(asked, round)?, |_, root| inside(&asked.proc, root, dump)) {
            match dumped {
                Ok(Ok(Ok(sockets))) => {
                    let listed = sockets.iter().filter(|socket| wanted.contains(&socket.inode));
                    let pairs: Vec<_> = listed.filter_map(|socket| Some((socket.inode, socket.peer?))).collect();
                    let others: HashSet<u64> = pairs.iter().map(|&(_, peer)| peer).collect();
                    let named = sockets.iter().filter(|socket| others.contains(&socket.inode));
                    names.extend(named.filter_map(|socket| Some((socket.inode, socket.shown()?))));
                    peers.extend(pairs);
                }
                Ok(Ok(Err(error))) => failed = Some(error),
                Ok(Err(error)) | Err(error) => unentered = unentered.or_else(|| super::unentered(&space, &error)),
            }
        }
        if let Some(why) = unentered {
            round.report_diag(&format!("{why}; peers of its UNIX sockets are null"))?;
        }
        if let Some(error) = failed {
            round.report_diag(&format!("{error}; peers of UNIX sockets are null"))?;
        }
        let inodes = peers.values().copied().collect();
        let holders = Holders::find(asked, need, &inodes, sources, round)?;
        Ok(Self { peers, names, holders })
    }
}

fn dump() -> Result<Vec<UnixSocket>, DiagError> {
    unix::dump(&mut Channel::open()?, unix::show::PEER | unix::show::NAME)
}

impl Provider for UnixPeers {
    fn provides(&self) -> Need {
        Need::PEERS
    }

    fn value<'a>(&'a self, subject: &Subject<'a>, field: Field) -> Value<'a> {
        let Subject::Unix { row, .. } = subject else { return Value::Null };
        let peer = self.peers.get(&row.inode);
        if field == Field::PeerPath {
            return Value::text(peer.and_then(|inode| self.names.get(inode)).map(Vec::as_slice));
        }
        let peer = peer.and_then(|&inode| self.holders.of(&[inode]));
        peer.map_or(Value::Null, |process| process.value(field))
    }

    fn has_peer(&self, subject: &Subject<'_>) -> bool {
        let Subject::Unix { row, .. } = subject else { return false };
        self.peers.get(&row.inode).is_some_and(|&inode| inode != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::classic::{AgentChoice, Options};
    use crate::model::Proto;
    use crate::model::UnixRow;
    use crate::proc::fds;
    use crate::proc::inet;
    use crate::run::table::selected::Selected;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::{UnixListener, UnixStream};

    /// What is found for the row with this local port where the processes of JSON rows are asked for.
    fn peer(proto: Proto, port: u16) -> Vec<Value<'static>> {
        let options = Options { json: true, agent: AgentChoice::Never, ..Options::default() };
        let asked = AskedFor::new(&options, Selected::default());
        let table = inet::read(&asked.proc, proto, |_| true).unwrap();
        let netns = netns::own(&asked.proc).ok();
        let listed = [ListedTable { netns, rows: &table.rows, recorded: &[], closed: &[] }];
        let need = Need::PEERS.or(Need::OWNERS).or(Need::COMMS).or(Need::CGROUPS);
        let peers = InetPeers::gather(&asked, need, &listed, &mut Sources::new(&asked), &mut Round::first()).unwrap();
        let row = table.rows.iter().find(|row| row.local.port == port && row.has_peer()).unwrap();
        let subject = Subject::Inet { row, netns, holder: None, recorded: None };
        let fields = [Field::PeerPid, Field::PeerComm, Field::PeerContainer];
        fields.map(|field| peers.value(&subject, field).into_owned()).to_vec()
    }

    fn me() -> Vec<Value<'static>> {
        let comm = fds::comm(Path::new("/proc"), std::process::id()).unwrap();
        let name = Value::text(Some(comm.as_bytes())).into_owned();
        vec![Value::Number(std::process::id().into()), name]
    }

    #[test]
    fn the_path_of_the_other_end_of_a_unix_connection() {
        let path = std::env::temp_dir().join(format!("netstat-user-peer-path-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        let server = listener.accept().unwrap().0;
        let inode = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).unwrap().st_ino;
        let inodes = [inode(client.as_fd()), inode(server.as_fd()), inode(listener.as_fd())];
        let options = Options { agent: AgentChoice::Never, ..Options::default() };
        let asked = AskedFor::new(&options, Selected::default());
        let (mut sources, mut round) = (Sources::new(&asked), Round::first());
        let peers = UnixPeers::gather(&asked, Need::PEERS, &inodes, &mut sources, &mut round).unwrap();
        std::fs::remove_file(&path).unwrap();
        let found = inodes.map(|inode| {
            let row = UnixRow { refcnt: 3, protocol: 0, flags: 0, kind: 1, state: 3, inode, path: b"" };
            peers.value(&Subject::Unix { row: &row, netns: None, holder: None }, Field::PeerPath).into_owned()
        });
        let path = path.to_str().unwrap().as_bytes();
        assert_eq!(found, [Value::text(Some(path)).into_owned(), Value::Null, Value::Null]);
    }

    #[test]
    fn both_ends_of_a_connection_and_of_datagrams() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let port = client.local_addr().unwrap().port();
        assert_eq!(peer(Proto::Tcp, port)[..2], me()[..], "not accepted yet");
        let server = listener.accept().unwrap().0;
        assert_eq!(peer(Proto::Tcp, port)[..2], me()[..]);
        drop(server);
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        assert_eq!(peer(Proto::Udp, sender.local_addr().unwrap().port())[..2], me()[..]);
    }
}
