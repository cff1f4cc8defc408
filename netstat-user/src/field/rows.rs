//! What each kind of row answers for its fields.

use super::{Field, Need, Provider, Subject, Value};
use crate::model::{
    ClosedSocket, Comm, Direction, EventEnd, EventKind, Holder, Labels, Owner, SctpRow, SocketEvent, SocketHolders,
    SocketRow, StateTimes, TcpState, Totals, UnixRow, UnseenHolders,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

/// What has fields: a row, or an event.
pub trait HasFields {
    /// The value of a field, in the unit of its kind; null where this row has no such field.
    fn value(&self, field: Field) -> Value<'_>;

    /// The state, as ss counts them: a datagram socket has one too, and so has a UNIX domain socket; of an event the state entered.
    fn state(&self) -> Option<TcpState>;

    /// How long it was in each state, where it is a whole connection.
    fn times(&self) -> Option<StateTimes> {
        None
    }

    /// Address and port of the socket's own end, or of the other; `None` where it has no Internet address.
    fn end(&self, own: bool) -> Option<(IpAddr, Option<u16>)>;

    /// The index of the device that the socket is bound to, in its network namespace.
    fn device(&self) -> Option<u32> {
        None
    }

    /// What a field of owners may be besides its value.
    /// `None` where the field is none of owners, or nobody can hold the socket.
    fn unseen_values(&self, _field: Field) -> Option<UnseenValues<'_>> {
        None
    }
}

/// What a field of owners may be besides its value, as processes could not be looked into that may hold the socket.
pub struct UnseenValues<'a> {
    /// One of these, a value for each such process with its number, which are the same for every row that has any. `None`: anything.
    pub values: Option<Box<dyn Iterator<Item = (u32, Value<'a>)> + 'a>>,
    /// The number of the first process that was found to hold the socket.
    pub first: Option<u32>,
    /// Whether a process outside of the PID namespace may hold it.
    pub outside: bool,
    /// Whether a process that was seen to hold it ended before all was read of it.
    pub lost: bool,
}

impl UnseenValues<'_> {
    /// Whether somebody may hold a socket for which nobody was found.
    pub fn has_any(self) -> bool {
        self.outside || self.values.is_none_or(|mut values| values.next().is_some())
    }
}

/// What the rows of a table share, gathered before they are filtered.
#[derive(Clone, Copy)]
pub struct RowContext<'a> {
    /// The processes that hold sockets; none where no field needs them.
    pub owners: &'a SocketHolders,
    /// Names of users.
    pub labels: &'a Labels,
    /// Inode number of the network namespace of the table, for rows that do not carry it.
    pub netns: Option<u32>,
    /// Names of network namespaces by inode number.
    pub netns_names: &'a HashMap<u32, Vec<u8>>,
    /// Who else was asked to gather.
    pub providers: &'a [&'a dyn Provider],
}

impl<'a> RowContext<'a> {
    fn netns_name(&self, netns: Option<u32>) -> Value<'a> {
        Value::text(netns.and_then(|netns| self.netns_names.get(&netns)).map(Vec::as_slice))
    }

    fn user(&self, uid: Option<u32>) -> Value<'a> {
        Value::text(uid.and_then(|uid| self.labels.users.get(&uid)).map(Vec::as_slice))
    }
}

/// The field of whoever gathered it.
fn gathered<'a>(providers: &[&'a dyn Provider], subject: &Subject<'a>, field: Field) -> Value<'a> {
    let need = field.spec().need;
    let kinds = Need::CGROUPS.or(Need::PEERS).or(Need::INFO).or(Need::AGES).or(Need::DIAG).or(Need::BINDING);
    if !need.meets(kinds) {
        return Value::Null;
    }
    let asked = |provider: &&&'a dyn Provider| provider.provides().meets(need);
    let mut values = providers.iter().filter(asked).map(|provider| provider.value(subject, field));
    values.find(|value| *value != Value::Null).unwrap_or(Value::Null)
}

/// What a field of owners would be if each of the processes that could not be looked into held the socket, or its other end.
/// `subject` is the socket as it would be held then.
fn unseen_values<'a>(
    context: &RowContext<'a>,
    inode: u64,
    subject: impl Fn(Option<&'a Holder>) -> Subject<'a> + 'a,
    field: Field,
) -> Option<UnseenValues<'a>> {
    let (need, providers) = (field.spec().need, context.providers);
    let of_peer = need.meets(Need::PEERS);
    let may_be_held = match of_peer {
        true => providers.iter().any(|provider| provider.has_peer(&subject(None))),
        // Nobody can hold what has no inode.
        false => inode != 0,
    };
    if !need.meets(Need::OWNERS) || !may_be_held {
        return None;
    }
    let first = match of_peer {
        true => match gathered(providers, &subject(None), Field::PeerPid) {
            Value::Number(pid) => u32::try_from(pid).ok(),
            _ => None,
        },
        false => context.owners.first(inode).map(|holder| holder.pid),
    };
    let lost = match of_peer {
        true => providers.iter().any(|provider| provider.has_lost_peer(&subject(None))),
        false => context.owners.has_lost(inode),
    };
    let of = move |process: &'a Holder| match field {
        Field::PeerPid => Value::Number(process.pid.into()),
        Field::PeerComm => Value::text(process.comm.as_ref().map(Comm::as_bytes)),
        Field::Pid | Field::Comm | Field::OwnersPid | Field::OwnersProgram | Field::OwnersComm | Field::OwnersOwner => {
            owners(std::iter::once(process), None, field)
        }
        _ => gathered(providers, &subject(Some(process)), field),
    };
    let is_known = !of_peer || matches!(field, Field::PeerPid | Field::PeerComm);
    let values: Option<Box<dyn Iterator<Item = _>>> = match &context.owners.unseen {
        UnseenHolders::These(processes) if is_known || processes.is_empty() => {
            Some(Box::new(processes.iter().map(move |process| (process.pid, of(process)))))
        }
        _ => None,
    };
    Some(UnseenValues { values, first, outside: context.owners.in_nested_pid_namespace, lost })
}

/// A row of the Internet tables.
#[derive(Clone, Copy)]
pub struct RowFields<'a> {
    /// The row.
    pub row: &'a SocketRow,
    /// The owner that events recorded for a socket that nobody holds.
    pub recorded: Option<&'a Owner>,
    /// What it shares with the others.
    pub context: &'a RowContext<'a>,
}

impl RowFields<'_> {
    /// What was to be gathered of the row, and could not be read.
    pub fn unread(&self) -> Need {
        let (row, netns) = (self.row, self.row.netns.or(self.context.netns));
        let subject = Subject::Inet { row, netns, holder: None, recorded: None };
        let is_user_unread = self.context.labels.unread_users.contains(&row.uid);
        let of_name = if is_user_unread { Need::USERS } else { Need::NONE };
        let own = if row.keeps_user() { of_name } else { of_name.or(Need::UIDS) };
        self.context.providers.iter().fold(own, |unread, provider| unread.or(provider.unread(&subject)))
    }
}

impl HasFields for RowFields<'_> {
    fn state(&self) -> Option<TcpState> {
        TcpState::from_kernel(self.row.state)
    }

    fn end(&self, own: bool) -> Option<(IpAddr, Option<u16>)> {
        let end = if own { &self.row.local } else { &self.row.remote };
        Some((end.addr, Some(end.port)))
    }

    fn value(&self, field: Field) -> Value<'_> {
        let (row, context) = (self.row, self.context);
        let timer = &row.timer;
        match field {
            Field::Proto => Value::word(Some(row.proto.name())),
            Field::RecvQ => Value::Number(row.recv_q),
            Field::SendQ => Value::Number(row.send_q),
            Field::LocalAddr => Value::Addr(row.local.addr),
            Field::LocalPort => Value::Number(row.local.port.into()),
            Field::RemoteAddr => Value::Addr(row.remote.addr),
            Field::RemotePort => Value::Number(row.remote.port.into()),
            Field::RemoteIp => Value::Addr(row.remote.addr.to_canonical()),
            Field::State => Value::word(row.named_state().map(TcpState::name)),
            Field::Uid => Value::Number(row.uid.into()),
            Field::User => context.user(Some(row.uid)),
            Field::Inode => Value::Number(row.inode),
            Field::Pid
            | Field::Comm
            | Field::OwnersPid
            | Field::OwnersProgram
            | Field::OwnersComm
            | Field::OwnersOwner => owners(context.owners.of(row.inode), self.recorded, field),
            Field::TimerName => Value::word(timer.name()),
            Field::TimerSeconds => Value::Number(timer.expires),
            Field::TimerRetransmits => Value::Number(timer.retransmits),
            Field::TimerProbes => Value::Number(timer.probes),
            Field::Netns => Value::number(row.netns.or(context.netns)),
            Field::NetnsName => context.netns_name(row.netns.or(context.netns)),
            Field::Cookie => Value::number(row.cookie),
            _ => {
                let (netns, holder) = (row.netns.or(context.netns), context.owners.first(row.inode));
                let subject = Subject::Inet { row, netns, holder, recorded: self.recorded };
                gathered(context.providers, &subject, field)
            }
        }
    }

    fn device(&self) -> Option<u32> {
        let (row, netns) = (self.row, self.row.netns.or(self.context.netns));
        let subject = Subject::Inet { row, netns, holder: None, recorded: None };
        self.context.providers.iter().find_map(|provider| provider.device(&subject))
    }

    fn unseen_values(&self, field: Field) -> Option<UnseenValues<'_>> {
        let (row, netns) = (self.row, self.row.netns.or(self.context.netns));
        let subject = move |holder| Subject::Inet { row, netns, holder, recorded: None };
        unseen_values(self.context, row.inode, subject, field)
    }
}

/// The field of the processes that hold a socket; if there is none, of the one that events recorded.
fn owners<'a>(holders: impl Iterator<Item = &'a Holder>, recorded: Option<&'a Owner>, field: Field) -> Value<'a> {
    let comm = |comm: &'a Comm| Value::text(Some(comm.as_bytes()));
    let mut values = holders.map(|holder| match field {
        Field::OwnersPid | Field::Pid => Value::Number(holder.pid.into()),
        Field::OwnersProgram => Value::text(Some(&holder.program)),
        Field::OwnersOwner => Value::Null,
        _ => holder.comm.as_ref().map_or(Value::Null, comm),
    });
    let recorded = recorded.map(|owner| match field {
        Field::OwnersPid | Field::Pid => Value::Number(owner.pid.into()),
        Field::OwnersOwner => Value::word(Some(owner.grade.name())),
        _ => comm(&owner.comm),
    });
    let first = values.next().or(recorded);
    if matches!(field, Field::Pid | Field::Comm) {
        return first.unwrap_or(Value::Null);
    }
    Value::List(first.into_iter().chain(values).collect())
}

/// An SCTP row.
#[derive(Clone, Copy)]
pub struct SctpFields<'a> {
    /// The row.
    pub row: &'a SctpRow,
    /// What it shares with the others.
    pub context: &'a RowContext<'a>,
}

impl HasFields for SctpFields<'_> {
    fn state(&self) -> Option<TcpState> {
        TcpState::from_kernel(self.row.state)
    }

    fn end(&self, own: bool) -> Option<(IpAddr, Option<u16>)> {
        if own {
            return Some((*self.row.local.first()?, Some(self.row.local_port)));
        }
        let peer = self.row.peer.as_ref()?;
        Some((*peer.addrs.first()?, Some(peer.port)))
    }

    fn value(&self, field: Field) -> Value<'_> {
        let (row, context) = (self.row, self.context);
        let peer = row.peer.as_ref();
        let addrs = |addrs: &[IpAddr]| Value::List(addrs.iter().copied().map(Value::Addr).collect());
        match field {
            Field::Proto => Value::word(Some("sctp")),
            Field::RecvQ => Value::number(peer.map(|peer| peer.recv_q)),
            Field::SendQ => Value::number(peer.map(|peer| peer.send_q)),
            Field::LocalAddr => Value::addr(row.local.first().copied()),
            Field::LocalPort => Value::Number(row.local_port.into()),
            Field::LocalAddrs => addrs(&row.local),
            Field::RemoteAddr => Value::addr(peer.and_then(|peer| peer.addrs.first().copied())),
            Field::RemotePort => Value::number(peer.map(|peer| peer.port)),
            Field::RemoteIp => Value::addr(peer.and_then(|peer| peer.addrs.first()).map(IpAddr::to_canonical)),
            Field::RemoteAddrs => addrs(peer.map_or(&[], |peer| &peer.addrs)),
            Field::State => Value::word(TcpState::from_kernel(row.state).map(TcpState::name)),
            Field::Uid => Value::Number(row.uid.into()),
            Field::User => context.user(Some(row.uid)),
            Field::Inode => Value::Number(row.inode),
            Field::Pid
            | Field::Comm
            | Field::OwnersPid
            | Field::OwnersProgram
            | Field::OwnersComm
            | Field::OwnersOwner => owners(context.owners.of(row.inode), None, field),
            Field::Netns => Value::number(context.netns),
            Field::NetnsName => context.netns_name(context.netns),
            _ => {
                let subject = Subject::Sctp { row, holder: context.owners.first(row.inode) };
                gathered(context.providers, &subject, field)
            }
        }
    }

    fn unseen_values(&self, field: Field) -> Option<UnseenValues<'_>> {
        let row = self.row;
        unseen_values(self.context, row.inode, move |holder| Subject::Sctp { row, holder }, field)
    }
}

/// A row of the table of UNIX domain sockets.
#[derive(Clone, Copy)]
pub struct UnixFields<'a> {
    /// The row.
    pub row: &'a UnixRow<'a>,
    /// What it shares with the others.
    pub context: &'a RowContext<'a>,
}

impl HasFields for UnixFields<'_> {
    fn state(&self) -> Option<TcpState> {
        Some(match self.row.state {
            1 if self.row.accepts() => TcpState::Listen,
            2 => TcpState::SynSent,
            3 => TcpState::Established,
            4 => TcpState::Closing,
            _ => TcpState::Close,
        })
    }

    fn end(&self, _: bool) -> Option<(IpAddr, Option<u16>)> {
        None
    }

    fn value(&self, field: Field) -> Value<'_> {
        let (row, context) = (self.row, self.context);
        match field {
            Field::Proto => Value::word(Some("unix")),
            Field::Refcnt => Value::Number(row.refcnt.into()),
            Field::Flags => Value::List(row.flag_names().map(|name| Value::word(Some(name))).collect()),
            Field::Type => Value::word(row.kind_name()),
            Field::State => Value::word(row.state_name().filter(|state| !state.is_empty())),
            Field::Inode => Value::number(Some(row.inode).filter(|&inode| inode != 0)),
            Field::Path => Value::text(Some(row.path).filter(|path| !path.is_empty())),
            Field::Pid
            | Field::Comm
            | Field::OwnersPid
            | Field::OwnersProgram
            | Field::OwnersComm
            | Field::OwnersOwner => owners(context.owners.of(row.inode), None, field),
            Field::Netns => Value::number(context.netns),
            Field::NetnsName => context.netns_name(context.netns),
            _ => {
                let holder = context.owners.first(row.inode);
                gathered(context.providers, &Subject::Unix { row, netns: context.netns, holder }, field)
            }
        }
    }

    fn unseen_values(&self, field: Field) -> Option<UnseenValues<'_>> {
        let (row, netns) = (self.row, self.context.netns);
        unseen_values(self.context, row.inode, move |holder| Subject::Unix { row, netns, holder }, field)
    }
}

/// An event.
#[derive(Clone, Copy)]
pub struct EventFields<'a> {
    /// The event.
    pub event: &'a SocketEvent,
    /// Who connected, as far as that is known of the event or of the whole connection.
    pub direction: Option<Direction>,
    /// How long the whole connection was in each state, where that is known.
    pub times: Option<StateTimes>,
    /// Name of its network namespace, if it has one.
    pub netns_name: Option<&'a [u8]>,
    /// Names of users, where they are asked for.
    pub users: Option<&'a HashMap<u32, Vec<u8>>>,
    /// Who else was asked to gather.
    pub providers: &'a [&'a dyn Provider],
}

impl HasFields for EventFields<'_> {
    fn state(&self) -> Option<TcpState> {
        match self.event.kind {
            EventKind::State { new, .. } => Some(new),
            _ => None,
        }
    }

    fn times(&self) -> Option<StateTimes> {
        self.times
    }

    fn end(&self, own: bool) -> Option<(IpAddr, Option<u16>)> {
        let end = if own { self.event.local } else { self.event.remote };
        end.map(|end| (end.addr, end.port))
    }

    fn value(&self, field: Field) -> Value<'_> {
        let event = self.event;
        let old_new = match event.kind {
            EventKind::State { old, new, in_state_ns } => Some((old, new, in_state_ns)),
            _ => None,
        };
        match (field, &event.kind) {
            (Field::Time, _) => Value::Number(event.time_ns),
            (Field::Event, kind) => Value::word(Some(kind.name())),
            (Field::Proto, _) => Value::word(Some(event.proto.name())),
            (Field::LocalAddr, _) => Value::addr(event.local.map(|end| end.addr)),
            (Field::LocalPort, _) => Value::number(event.local.and_then(|end| end.port)),
            (Field::RemoteAddr, _) => Value::addr(event.remote.map(|end| end.addr)),
            (Field::RemotePort, _) => Value::number(event.remote.and_then(|end| end.port)),
            (Field::RemoteIp, _) => Value::addr(event.remote.map(|end| end.addr.to_canonical())),
            (Field::Direction, _) => Value::word(self.direction.map(Direction::name)),
            (Field::OldState, _) => Value::word(old_new.map(|(old, ..)| old.name())),
            (Field::NewState | Field::State, _) => Value::word(old_new.map(|(_, new, _)| new.name())),
            (Field::InStateNs, _) => Value::number(old_new.and_then(|(.., in_state_ns)| in_state_ns)),
            (Field::Uid, _) => Value::number(event.uid),
            (Field::User, _) => {
                let named = event.uid.and_then(|uid| self.users.and_then(|users| users.get(&uid)));
                Value::text(named.map(Vec::as_slice))
            }
            (Field::Inode, _) => Value::number(event.inode),
            (Field::Cookie, _) => Value::number(event.cookie),
            (Field::Netns, _) => Value::number(event.netns),
            (Field::NetnsName, _) => Value::text(self.netns_name),
            (Field::OwnersPid | Field::OwnersProgram | Field::OwnersComm | Field::OwnersOwner, _) => {
                owners([].into_iter(), event.owner.as_ref(), field)
            }
            (Field::Pid | Field::Comm | Field::Owner, _) => owner(event.owner.as_ref(), field),
            (field, _) if field.state_timed().is_some() => {
                let spent = field.state_timed().zip(self.times).and_then(|(state, times)| times.of(state));
                Value::number(spent.flatten())
            }
            (_, EventKind::Close(totals)) if field.is_total() => total(totals, field),
            _ => gathered(self.providers, &Subject::Event(event), field),
        }
    }
}

/// A socket that ended.
#[derive(Clone, Copy)]
pub struct ClosedFields<'a> {
    /// The socket.
    pub closed: &'a ClosedSocket,
    /// What it shares with the rows around it.
    pub context: &'a RowContext<'a>,
}

impl HasFields for ClosedFields<'_> {
    fn state(&self) -> Option<TcpState> {
        Some(TcpState::Close)
    }

    fn end(&self, own: bool) -> Option<(IpAddr, Option<u16>)> {
        let end = if own { self.closed.socket.local } else { self.closed.socket.remote };
        end.map(|end| (end.addr, end.port))
    }

    /// An owner that is not known may be one that the agent keeps back.
    fn unseen_values(&self, field: Field) -> Option<UnseenValues<'_>> {
        let need = field.spec().need;
        let may_be_withheld = self.context.owners.of_ended_withheld && self.closed.socket.owner.is_none();
        let is_of_owner = need.meets(Need::OWNERS) && !need.meets(Need::PEERS);
        (may_be_withheld && is_of_owner).then_some(UnseenValues {
            values: None,
            first: None,
            outside: false,
            lost: false,
        })
    }

    fn value(&self, field: Field) -> Value<'_> {
        let (socket, context) = (&self.closed.socket, self.context);
        let addr = |end: Option<EventEnd>| Value::addr(end.map(|end| end.addr));
        let port = |end: Option<EventEnd>| Value::number(end.and_then(|end| end.port));
        match field {
            Field::Time => Value::Number(self.closed.closed_ns),
            Field::Event => Value::word(Some("close")),
            Field::Proto => Value::word(Some(socket.proto.name())),
            Field::LocalAddr => addr(socket.local),
            Field::LocalPort => port(socket.local),
            Field::RemoteAddr => addr(socket.remote),
            Field::RemotePort => port(socket.remote),
            Field::RemoteIp => Value::addr(socket.remote.map(|end| end.addr.to_canonical())),
            Field::State => Value::word(Some(TcpState::Close.name())),
            Field::Uid => Value::number(socket.uid),
            Field::User => context.user(socket.uid),
            Field::Inode => Value::number(Some(socket.inode).filter(|&inode| inode != 0)),
            Field::Netns => Value::number(socket.netns),
            Field::NetnsName => context.netns_name(socket.netns),
            Field::Cookie => Value::number(socket.cookie),
            Field::OwnersPid | Field::OwnersProgram | Field::OwnersComm | Field::OwnersOwner => {
                owners([].into_iter(), socket.owner.as_ref(), field)
            }
            Field::Pid | Field::Comm | Field::Owner => owner(socket.owner.as_ref(), field),
            _ if field.is_total() => total(&self.closed.totals, field),
            _ => gathered(context.providers, &Subject::Closed(self.closed), field),
        }
    }
}

fn owner(owner: Option<&Owner>, field: Field) -> Value<'_> {
    let Some(owner) = owner else { return Value::Null };
    match field {
        Field::Pid => Value::Number(owner.pid.into()),
        Field::Comm => Value::text(Some(owner.comm.as_bytes())),
        _ => Value::word(Some(owner.grade.name())),
    }
}

impl Field {
    /// Whether it is a total of a socket that ended, which only its close event has.
    pub const fn is_total(self) -> bool {
        matches!(
            self,
            Self::DurationNs
                | Self::RxBytes
                | Self::TxBytes
                | Self::RttUs
                | Self::Retransmits
                | Self::Reason
                | Self::ClosedByPid
                | Self::ClosedByComm
        )
    }
}

fn total(totals: &Totals, field: Field) -> Value<'_> {
    let closer = totals.closed_by.as_ref();
    match field {
        Field::DurationNs => Value::number(totals.duration_ns),
        Field::RxBytes => Value::number(totals.rx_bytes),
        Field::TxBytes => Value::number(totals.tx_bytes),
        Field::RttUs => Value::number(totals.rtt_us),
        Field::Retransmits => Value::number(totals.retransmits),
        Field::Reason => Value::word(Some(totals.reason.name())),
        Field::ClosedByPid => Value::number(closer.map(|closer| closer.pid)),
        _ => closer.map_or(Value::Null, |closer| Value::Text(Cow::Borrowed(closer.comm.as_bytes()))),
    }
}
