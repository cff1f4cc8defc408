//! What the kernel keeps of a TCP connection beyond its addresses and queues: `struct tcp_info` of `linux/tcp.h`.

/// A value of [`TcpInfo`]: its name, which ends in its unit if it is a time, and where the kernel's structure has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InfoField {
    /// The name, in JSON and in expressions behind `info.`.
    pub name: &'static str,
    /// Offset of the first byte in `struct tcp_info`.
    pub at: usize,
    /// Bytes that it has there: 1, 2, 4 or 8.
    pub size: usize,
    /// The numbers by which the kernel says that there is no value (yet).
    pub none: &'static [u64],
    /// Whether a listener has it too.
    pub of_listeners: bool,
}

/// What [`InfoField::none`] holds for values that are never 0 once they are known.
const ZERO: &[u64] = &[0];
/// And for rates, which the kernel also gives as "without limit".
const NO_RATE: &[u64] = &[0, u32::MAX as u64, u64::MAX];

const fn field(name: &'static str, at: usize, size: usize, none: &'static [u64]) -> InfoField {
    InfoField { name, at, size, none, of_listeners: false }
}

const fn shared(name: &'static str, at: usize, size: usize, none: &'static [u64]) -> InfoField {
    InfoField { of_listeners: true, ..field(name, at, size, none) }
}

/// The values, in the order of JSON objects. `congestion` stands beside them: it is a name. What they mean stands in the table of fields.
pub const INFO_FIELDS: [InfoField; INFO_COUNT] = [
    field("rtt_us", 68, 4, ZERO),
    field("rttvar_us", 72, 4, ZERO),
    field("min_rtt_us", 148, 4, &[0, u32::MAX as u64]),
    field("rcv_rtt_us", 92, 4, ZERO),
    field("rto_us", 8, 4, ZERO),
    field("ato_us", 12, 4, ZERO),
    shared("cwnd", 80, 4, ZERO),
    field("ssthresh", 76, 4, &[0, 0x7fff_ffff]),
    field("mss", 16, 4, ZERO),
    field("rcv_mss", 20, 4, ZERO),
    field("advmss", 84, 4, ZERO),
    field("pmtu", 60, 4, ZERO),
    field("retransmits", 100, 4, &[]),
    field("lost", 32, 4, &[]),
    field("unacked", 24, 4, &[]),
    field("sacked", 28, 4, &[]),
    field("retrans_out", 36, 4, &[]),
    shared("reordering", 88, 4, ZERO),
    field("backoff", 4, 1, &[]),
    field("bytes_sent", 200, 8, &[]),
    field("bytes_retrans", 208, 8, &[]),
    field("bytes_acked", 120, 8, &[]),
    field("bytes_received", 128, 8, &[]),
    field("bytes_not_sent", 144, 4, &[]),
    field("segs_in", 140, 4, &[]),
    field("segs_out", 136, 4, &[]),
    field("data_segs_in", 152, 4, &[]),
    field("data_segs_out", 156, 4, &[]),
    field("delivered", 192, 4, &[]),
    field("delivery_rate", 160, 8, NO_RATE),
    shared("pacing_rate", 104, 8, NO_RATE),
    shared("max_pacing_rate", 112, 8, NO_RATE),
    field("last_send_ms", 44, 4, &[]),
    field("last_recv_ms", 52, 4, &[]),
    field("last_ack_ms", 56, 4, &[]),
    field("busy_us", 168, 8, &[]),
    field("rwnd_limited_us", 176, 8, &[]),
    field("sndbuf_limited_us", 184, 8, &[]),
    field("rcv_space", 96, 4, ZERO),
    field("rcv_ssthresh", 64, 4, ZERO),
    field("snd_wnd", 228, 4, &[]),
    field("rcv_wnd", 232, 4, &[]),
    field("dsack_dups", 216, 4, &[]),
    field("reord_seen", 220, 4, &[]),
    field("rcv_ooopack", 224, 4, &[]),
];

/// The words of the line that `--info` prints, as ss has them, and what they mean: for `--help`.
pub const INFO_WORDS: &str = "rto, ato: time to a retransmission, to a delayed acknowledgement, ms. rtt: round-trip time/its deviation; minrtt, rcv_rtt: \
    the least recently, and as the receiver estimates it, ms. mss, rcvmss, advmss, pmtu: largest segment sent, received, announced, and path MTU, bytes. \
    backoff: doublings of rto. cwnd, ssthresh: congestion window and slow start threshold, segments. bytes_sent, bytes_retrans, bytes_received, notsent: payload, bytes; \
    bytes_acked: the same, and one each for FIN and SYN. \
    segs_out, segs_in, data_segs_out, data_segs_in: segments. lastsnd, lastrcv, lastack: time since data was sent, received, acknowledged, ms. \
    pacing_rate, delivery_rate: bits/s. busy, rwnd_limited, sndbuf_limited: time sending, held back by the peer's window, by the send buffer, ms. \
    delivered, unacked, retrans (now/in all), lost, sacked: segments; reord_seen: times they came reordered; reordering: what is tolerated of it, where it is not the usual 3; rcv_ooopack: received out of order; dsack_dups: received \
    twice, as the peer reported. rcv_space, rcv_ssthresh, snd_wnd, rcv_wnd: bytes. What is not known, or is nothing, is left out. ss shows more: \
    ts, sack, ecn, wscale, app_limited, send, what bbr says of itself, and behind pacing_rate its limit, which is info.max_pacing_rate";

/// How many there are.
pub const INFO_COUNT: usize = 45;

// A bit for each.
const _: () = assert!(INFO_COUNT <= 64);

/// Bytes of a congestion algorithm's name, `TCP_CA_NAME_MAX` of the kernel.
const CONGESTION_MAX: usize = 16;

/// What is known of a connection. Values by their place in [`INFO_FIELDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    values: [u64; INFO_COUNT],
    /// A bit per value that is known.
    known: u64,
    congestion: [u8; CONGESTION_MAX],
}

impl TcpInfo {
    /// With these values, `None` for what is not known; the name of the congestion algorithm is cut at 15 bytes.
    pub fn new(values: [Option<u64>; INFO_COUNT], congestion: Option<&[u8]>) -> Self {
        let mut info = Self { values: [0; INFO_COUNT], known: 0, congestion: [0; CONGESTION_MAX] };
        for (at, value) in values.into_iter().enumerate() {
            if let Some(value) = value {
                info.values[at] = value;
                info.known |= 1 << at;
            }
        }
        for (to, &from) in info.congestion.iter_mut().take(CONGESTION_MAX - 1).zip(congestion.unwrap_or_default()) {
            *to = from;
        }
        info
    }

    /// The value at a place of [`INFO_FIELDS`].
    pub fn at(&self, place: usize) -> Option<u64> {
        let value = *self.values.get(place)?;
        (self.known >> place & 1 == 1).then_some(value)
    }

    /// The value with this name.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.at(INFO_FIELDS.iter().position(|field| field.name == name)?)
    }

    /// The congestion algorithm, such as `cubic`.
    pub fn congestion(&self) -> Option<&[u8]> {
        let length = self.congestion.iter().position(|&byte| byte == 0).unwrap_or(CONGESTION_MAX);
        Some(&self.congestion[..length]).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_places_do_not_overlap() {
        for (at, field) in INFO_FIELDS.iter().enumerate() {
            for other in &INFO_FIELDS[at + 1..] {
                assert_ne!(field.name, other.name);
                let apart = field.at + field.size <= other.at || other.at + other.size <= field.at;
                assert!(apart, "{} and {}", field.name, other.name);
            }
            assert_eq!(field.at % field.size, 0, "{}", field.name);
        }
    }

    #[test]
    fn values_by_name_and_place() {
        let mut values = [None; INFO_COUNT];
        values[0] = Some(35);
        values[INFO_COUNT - 1] = Some(0);
        let info = TcpInfo::new(values, Some(b"a_long_name_of_an_algorithm"));
        assert_eq!((info.get("rtt_us"), info.get("rcv_ooopack"), info.get("cwnd")), (Some(35), Some(0), None));
        assert_eq!((info.get("nonsense"), info.at(INFO_COUNT)), (None, None));
        assert_eq!(info.congestion(), Some(b"a_long_name_of_".as_slice()));
        assert_eq!(TcpInfo::new(values, None).congestion(), None);
    }
}
