//! Rows of the AX.25, NET/ROM, ROSE, X.25 and IPX tables. Text borrows from what was read.

/// A window's counters and the queues of a socket, the same in all these families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The kernel's state number, of the family's own numbering.
    pub state: u32,
    /// Next frame expected, V(R).
    pub vr: u32,
    /// Next frame to send, V(S).
    pub vs: u32,
    /// Bytes of buffers to send, `None` where no socket belongs to the connection.
    pub send_q: Option<i64>,
    /// Bytes of buffers received, `None` where no socket belongs to the connection.
    pub recv_q: Option<i64>,
    /// Inode of the socket, `None` where there is none.
    pub inode: Option<u64>,
}

/// One row of the AX.25 table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ax25Row<'a> {
    /// The peer's callsign, `*` for none.
    pub dest: &'a [u8],
    /// The socket's own callsign, with a `*` behind it where it digipeats.
    pub source: &'a [u8],
    /// Digipeaters on the way, each behind a comma, a `*` behind those that repeated already.
    pub digipeaters: &'a [u8],
    /// Device, `???` for none.
    pub device: &'a [u8],
    /// States: 0 listening, 1 SABM sent, 2 DISC sent, 3 established, 4 recovery.
    pub progress: Progress,
}

/// One row of the NET/ROM table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetromRow<'a> {
    /// The user's callsign.
    pub user: &'a [u8],
    /// The peer's node, `*` for none.
    pub dest: &'a [u8],
    /// The socket's own node.
    pub source: &'a [u8],
    /// Device, `???` for none.
    pub device: &'a [u8],
    /// States: 0 listening, 1 connection sent, 2 disconnect sent, 3 established.
    pub progress: Progress,
}

/// One row of the ROSE table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoseRow<'a> {
    /// The peer's address, ten digits, `*` for none.
    pub dest: &'a [u8],
    /// The peer's callsign, `*` for none.
    pub dest_call: &'a [u8],
    /// The socket's own address.
    pub source: &'a [u8],
    /// The socket's own callsign.
    pub source_call: &'a [u8],
    /// Device, `???` for none.
    pub device: &'a [u8],
    /// Logical channel.
    pub lci: u32,
    /// Number of the neighbour.
    pub neighbour: u32,
    /// States: 0 listening, 1 connection sent, 2 disconnect sent, 3 established, 4 reset sent, 5 deferred.
    pub progress: Progress,
}

/// One row of the X.25 table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X25Row<'a> {
    /// The peer's address, up to fifteen digits, `*` for none.
    pub dest: &'a [u8],
    /// The socket's own address, `*` for none.
    pub source: &'a [u8],
    /// Device, `???` for none.
    pub device: &'a [u8],
    /// Logical channel, 0 for a socket without a call.
    pub lci: u32,
    /// States: 0 listening, 1 call sent, 2 clear sent, 3 established, 4 reset sent, 5 call to be accepted.
    pub progress: Progress,
}

/// An end of an IPX socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpxEnd {
    /// Network number.
    pub network: u32,
    /// Node on it.
    pub node: [u8; 6],
    /// Port.
    pub port: u16,
}

/// One row of the IPX table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpxRow {
    /// The socket's own end.
    pub local: IpxEnd,
    /// The other end, `None` where not connected.
    pub remote: Option<IpxEnd>,
    /// Bytes of buffers to send.
    pub send_q: u64,
    /// Bytes of buffers received.
    pub recv_q: u64,
    /// The kernel's TCP-like state: 1 established, 7 closed.
    pub state: u32,
    /// User id of the socket.
    pub uid: u32,
}

/// A route of AX.25: the device that leads to a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ax25Route<'a> {
    /// Callsign, `default` for all others.
    pub destination: &'a [u8],
    /// Device.
    pub iface: &'a [u8],
}

/// A node of NET/ROM, and the neighbour that leads to it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetromRoute<'a> {
    /// Callsign of the node.
    pub destination: &'a [u8],
    /// Its name, `*` for none.
    pub mnemonic: &'a [u8],
    /// How good the way is, at most 255.
    pub quality: u32,
    /// Callsign of the neighbour, empty where the kernel does not list it.
    pub neighbour: &'a [u8],
    /// Device to the neighbour, empty where the kernel does not list it.
    pub iface: &'a [u8],
}

/// A route of ROSE: the neighbours that lead to an address, the best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoseRoute<'a> {
    /// The address, `*` for none.
    pub destination: &'a [u8],
    /// How many of its digits count.
    pub mask: u32,
    /// At most three.
    pub neighbours: Vec<RoseNeighbour<'a>>,
}

/// A neighbour of ROSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoseNeighbour<'a> {
    /// The kernel's number of it.
    pub number: u32,
    /// Callsign and device, `None` where the kernel does not list it.
    pub station: Option<(&'a [u8], &'a [u8])>,
}

/// A route of X.25: the device that leads to the addresses with the same first digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X25Route<'a> {
    /// The address, `*` for none.
    pub destination: &'a [u8],
    /// How many of its digits count.
    pub digits: u32,
    /// Device.
    pub iface: &'a [u8],
}
