//! Gathers what `sock_diag` alone knows of Internet sockets: `tcp_info`, the device a socket is bound to, its mark. One dump for each protocol and
//! namespace, however many rows there are; each is found again by its cookie, or by its ends and inode where the row has none.

use crate::diag::Protocol;
use crate::diag::bytecode::Narrowed;
use crate::diag::loaded::{Part, loads_nothing};
use crate::diag::tables::{self, DumpRequest};
use crate::diag::{Channel, DiagError};
use crate::field::{CHOOSERS, Field, Need, Provider, Subject, Value};
use crate::model::{Endpoint, SocketRow, TcpInfo};
use crate::proc::netns;
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::run::table::spaces::{Space, each, spaces};
use crate::stdio::Written;
use crate::sys::interfaces::{Interfaces, is_no_device};
use crate::sys::{copy_of, effective_capabilities, is_in_initial_user_namespace, why};
use rustix::thread::CapabilitySet;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

/// What was gathered.
#[derive(Debug, Default)]
pub struct Infos {
    need: Need,
    /// Whether it matters which device a socket is bound to.
    asks_devices: bool,
    /// The facts of every socket.
    facts: Vec<SocketFacts>,
    /// Places in `facts`, by namespace and cookie, and by namespace, ends and inode.
    by_cookie: HashMap<(u32, u64), usize>,
    by_ends: HashMap<(u32, Endpoint, Endpoint, u64), usize>,
    /// The protocols of namespaces that were not listed, or not to the end.
    unread: HashSet<(u32, Protocol)>,
    /// The namespaces of whose sockets marks are asked for and kept from this process.
    unmarked: HashSet<u32>,
}

#[derive(Clone, Debug, Default)]
struct SocketFacts {
    info: Option<Box<TcpInfo>>,
    /// Index of the device, 0 for none, and its name.
    interface: u32,
    device: Option<String>,
    /// Whether the device may have a name, which could not be read.
    unnamed: bool,
    mark: Option<u32>,
    /// Whether the kernel chose the local port.
    unbound: Option<bool>,
}

/// One socket of a dump.
struct FoundSocket {
    socket: SocketRow,
    facts: SocketFacts,
}

/// What the dumps of a namespace held.
#[derive(Default)]
struct Dumped {
    all: Vec<FoundSocket>,
    /// The protocols that were not listed to the end.
    unread: Vec<Protocol>,
    /// What the kernel refused, where that is to be reported, and of which protocol.
    refused: Option<(Protocol, DiagError)>,
    /// Why the name of a device could not be read.
    unnamed: Option<io::Error>,
}

impl Infos {
    /// Gathers what is needed of the protocols in the namespaces of the rows. `tcp_info`, devices and marks are worth the load of a module, as with ss:
    /// they were asked for.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn gather<'a>(
        asked: &AskedFor<'_>,
        need: Need,
        rows: impl Iterator<Item = (Option<u32>, &'a SocketRow)>,
        round: &mut Round,
    ) -> Written<Self> {
        let own = netns::own(&asked.proc).ok();
        let mut wanted: HashMap<u32, HashSet<Protocol>> = HashMap::new();
        for (netns, row) in rows {
            let protocol = Protocol::of(row.proto);
            if let Some(netns) = row.netns.or(netns).or(own)
                && (protocol == Protocol::Tcp || need.meets(Need::DIAG.or(Need::BINDING)))
            {
                wanted.entry(netns).or_default().insert(protocol);
            }
        }
        let asks_devices = asked.selected.asks(&[Field::Dev.name()]);
        let mut infos = Self { need, asks_devices, ..Self::default() };
        if wanted.is_empty() {
            return Ok(infos);
        }
        let proc = &asked.proc;
        let (mut refused, mut unentered, mut unnamed) = (None::<(Protocol, DiagError)>, None, None);
        let inode = |space: &Space| space.namespace.as_ref().map(|namespace| namespace.inode).or(own);
        let mut listed = spaces(asked, round)?;
        listed.retain(|space| inode(space).is_some_and(|inode| wanted.contains_key(&inode)));
        let look = |inode: Option<u32>, root: &Path| {
            let inode = inode.or(own)?;
            let protocols = wanted.get(&inode)?;
            Some(netns::inside(proc, root, || dump(proc, protocols, need, inode)))
        };
        infos.unread =
            wanted.iter().flat_map(|(&netns, protocols)| protocols.iter().map(move |&one| (netns, one))).collect();
        for (space, dumped) in each(asked, listed, look) {
            match dumped.and_then(Option::transpose) {
                Ok(dumped) => {
                    let Dumped { all, unread, refused: error, unnamed: unread_name } = dumped.unwrap_or_default();
                    (refused, unnamed) = (refused.or(error), unnamed.or(unread_name));
                    let netns = inode(&space).unwrap_or_default();
                    infos.unread.retain(|(of, protocol)| *of != netns || unread.contains(protocol));
                    // That is the kernel's answer: it gives them, 0 too, to who has the right in the user namespace that the network belongs to.
                    if !all.is_empty() && all.iter().all(|found| found.facts.mark.is_none()) {
                        infos.unmarked.insert(netns);
                    }
                    all.into_iter().for_each(|found| infos.add(netns, found));
                }
                Err(error) => unentered = unentered.or_else(|| super::unentered(&space, &error)),
            }
        }
        let may_read = effective_capabilities().contains(CapabilitySet::NET_ADMIN);
        let is_outside = is_in_initial_user_namespace() == Some(false);
        if !asked.selected.asks(&[Field::Fwmark.name()]) || may_read && !is_outside {
            infos.unmarked.clear();
        }
        if !infos.unmarked.is_empty() {
            round.report_marks(may_read)?;
        }
        if let Some(error) = unnamed.filter(|_| infos.asks_devices) {
            round.report_diag(&format!(
                "dev of some sockets is null: the names of devices could not be read: {}",
                why(&error)
            ))?;
        }
        let why = unentered.map(|why| format!("what the kernel knows of connections is left out: {why}"));
        let why = why.or_else(|| refused.map(|(protocol, error)| left_out(need, protocol, &error)));
        match why {
            // What is shown below the rows is beside them, and what a port was chosen by is known by its number, too.
            Some(why) if asked.selected.needs().meets(Need::INFO.or(Need::DIAG)) => round.report_diag(&why)?,
            Some(why) => round.note_at_first(&why)?,
            None => {}
        }
        Ok(infos)
    }

    fn add(&mut self, netns: u32, found: FoundSocket) {
        let (place, socket) = (self.facts.len(), &found.socket);
        self.facts.push(found.facts);
        if let Some(cookie) = socket.cookie {
            self.by_cookie.insert((netns, cookie), place);
        }
        self.by_ends.insert((netns, socket.local, socket.remote, socket.inode), place);
    }

    fn facts(&self, row: &SocketRow, netns: Option<u32>) -> Option<&SocketFacts> {
        let netns = row.netns.or(netns)?;
        let place = match row.cookie {
            Some(cookie) => self.by_cookie.get(&(netns, cookie)),
            None => self.by_ends.get(&(netns, row.local, row.remote, row.inode)),
        };
        self.facts.get(*place?)
    }

    /// What the kernel knows of the connection of a row; `netns` is its table's namespace.
    pub fn info(&self, row: &SocketRow, netns: Option<u32>) -> Option<&TcpInfo> {
        self.facts(row, netns)?.info.as_deref()
    }
}

impl Provider for Infos {
    fn provides(&self) -> Need {
        self.need
    }

    fn value<'a>(&'a self, subject: &Subject<'a>, field: Field) -> Value<'a> {
        let Subject::Inet { row, netns, .. } = subject else { return Value::Null };
        let Some(facts) = self.facts(row, *netns) else { return Value::Null };
        match (field, field.nested(), &facts.info) {
            (Field::Dev, ..) => Value::text(facts.device.as_deref().map(str::as_bytes)),
            (Field::Fwmark, ..) => Value::number(facts.mark),
            (Field::PortChosenBy, ..) => Value::word(facts.unbound.map(|unbound| CHOOSERS[usize::from(unbound)])),
            (Field::InfoCongestion, _, Some(info)) => Value::text(info.congestion()),
            (_, Some(("info", name)), Some(info)) => Value::number(info.get(name)),
            _ => Value::Null,
        }
    }

    fn unread(&self, subject: &Subject<'_>) -> Need {
        let Subject::Inet { row, netns, .. } = subject else { return Need::NONE };
        if self.asks_devices && self.facts(row, *netns).is_some_and(|facts| facts.unnamed) {
            return Need::DIAG;
        }
        let protocol = Protocol::of(row.proto);
        let is_listed = row.netns.or(*netns).is_some_and(|netns| !self.unread.contains(&(netns, protocol)));
        match is_listed {
            // Others have no `tcp_info`.
            false if protocol == Protocol::Tcp => Need::DIAG.or(Need::INFO),
            false => Need::DIAG,
            true if row.netns.or(*netns).is_some_and(|netns| self.unmarked.contains(&netns)) => Need::DIAG,
            true => Need::NONE,
        }
    }

    fn device(&self, subject: &Subject<'_>) -> Option<u32> {
        let Subject::Inet { row, netns, .. } = subject else { return None };
        self.facts(row, *netns).map(|facts| facts.interface)
    }
}

/// The sockets of these protocols in the calling thread's namespace.
fn dump(proc: &Path, protocols: &HashSet<Protocol>, need: Need, netns: u32) -> Dumped {
    let Dumped { mut all, mut unread, mut refused, mut unnamed } = Dumped::default();
    let order = [Protocol::Tcp, Protocol::Udp, Protocol::UdpLite, Protocol::Raw];
    for protocol in order.into_iter().filter(|protocol| protocols.contains(protocol)) {
        let info = protocol == Protocol::Tcp && need.meets(Need::INFO);
        let is_asked = info || need.meets(Need::DIAG);
        if !is_asked && !loads_nothing(proc, Part::of(protocol)) {
            unread.push(protocol);
            continue;
        }
        let asked = DumpRequest { info, netns: Some(netns), ..DumpRequest::all(protocol) };
        let from = all.len();
        let dumped = Channel::open().map_err(DiagError::from).and_then(|mut channel| {
            tables::dump(&mut channel, &asked, |row| {
                let (info, interface) = (row.info().map(Box::new), row.interface());
                let facts = SocketFacts { info, interface, mark: row.mark(), ..SocketFacts::default() };
                all.push(FoundSocket { socket: row.socket, facts });
            })?;
            if need.meets(Need::BINDING) {
                let mut cookies = HashSet::new();
                let asked = DumpRequest { info: false, narrowed: Narrowed::unbound(), ..asked.clone() };
                tables::dump(&mut channel, &asked, |row| cookies.extend(row.socket.cookie))?;
                for found in &mut all[from..] {
                    found.facts.unbound = found.socket.cookie.map(|cookie| cookies.contains(&cookie));
                }
            }
            Ok(())
        });
        if let Err(error) = dumped {
            log::debug!("{protocol:?}: {error}");
            unread.push(protocol);
            refused = refused.or_else(|| is_asked.then_some((protocol, error)));
        }
    }
    if need.meets(Need::DIAG) {
        let interfaces = Interfaces::open();
        unnamed = name_devices(&mut all, |index| match &interfaces {
            Ok(interfaces) => interfaces.name(index),
            Err(error) => Err(copy_of(error)),
        });
    }
    Dumped { all, unread, refused, unnamed }
}

/// That the kernel did not list the sockets of a protocol, and what is not known of them therefore.
fn left_out(need: Need, protocol: Protocol, error: &DiagError) -> String {
    let sockets = match protocol {
        _ if !need.meets(Need::DIAG) => return format!("what the kernel knows of connections is left out: {error}"),
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::UdpLite => "UDP-Lite",
        Protocol::Raw => "raw",
    };
    let module = Part::of(protocol).module();
    format!("dev and fwmark of {sockets} sockets are null: the kernel's {module} does not list them: {error}")
}

/// Looks up the names of devices, each once. Returns why the name of one could not be read that may have one.
fn name_devices(all: &mut [FoundSocket], look_up: impl Fn(u32) -> io::Result<Vec<u8>>) -> Option<io::Error> {
    let mut names: HashMap<u32, Option<String>> = HashMap::new();
    let mut failures: HashMap<u32, io::Error> = HashMap::new();
    for FoundSocket { facts, .. } in all.iter_mut().filter(|found| found.facts.interface != 0) {
        let index = facts.interface;
        let name = names.entry(index).or_insert_with(|| match look_up(index) {
            Ok(name) => Some(String::from_utf8_lossy(&name).into_owned()),
            Err(error) => {
                // A socket stays bound to a device that has gone.
                if !is_no_device(&error) {
                    failures.insert(index, error);
                }
                None
            }
        });
        facts.device.clone_from(name);
        facts.unnamed = failures.contains_key(&index);
    }
    failures.into_values().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Proto;
    use std::net::Ipv4Addr;

    #[test]
    fn a_device_whose_name_could_not_be_read_is_another_thing_than_none() {
        let end = Endpoint { addr: Ipv4Addr::LOCALHOST.into(), port: 22 };
        let row = |cookie| SocketRow { cookie: Some(cookie), ..SocketRow::bare(Proto::Tcp, end, end, 10) };
        let bound = |interface: u32| FoundSocket {
            socket: row(interface.into()),
            facts: SocketFacts { interface, ..SocketFacts::default() },
        };
        let mut all = vec![bound(0), bound(1), bound(2), bound(3)];
        let error = name_devices(&mut all, |index| match index {
            1 => Ok(b"lo".to_vec()),
            2 => Err(io::Error::from_raw_os_error(libc::ENODEV)),
            _ => Err(io::Error::from_raw_os_error(libc::EPERM)),
        });
        assert_eq!(error.and_then(|error| error.raw_os_error()), Some(libc::EPERM));
        for (asks_devices, unread) in [(true, Need::DIAG), (false, Need::NONE)] {
            let mut infos = Infos { need: Need::DIAG, asks_devices, ..Infos::default() };
            all.iter().for_each(|found| infos.add(7, FoundSocket { socket: found.socket, facts: found.facts.clone() }));
            let known = [0, 1, 2, 3].map(|cookie| {
                let row = row(cookie);
                let subject = Subject::Inet { row: &row, netns: Some(7), holder: None, recorded: None };
                (infos.value(&subject, Field::Dev).into_owned(), infos.unread(&subject))
            });
            let lo = Value::text(Some(b"lo".as_slice())).into_owned();
            let none = || (Value::Null, Need::NONE);
            assert_eq!(known, [none(), (lo, Need::NONE), none(), (Value::Null, unread)]);
        }
    }
}
