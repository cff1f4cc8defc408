//! The frame around every netlink message, and the attributes inside: `struct nlmsghdr` and `struct nlattr` of `linux/netlink.h`.

/// Bytes of `struct nlmsghdr`.
pub const HEADER: usize = 16;

/// Bytes of `struct nlattr`.
const ATTRIBUTE: usize = 4;

/// `NLMSG_ERROR`: an error, or an acknowledgement where the error is 0.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub const DONE: u16 = 3;

/// `NLM_F_REQUEST`
pub const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`
pub const ACK: u16 = 0x4;
/// `NLM_F_DUMP`: `NLM_F_ROOT | NLM_F_MATCH`
pub const DUMP: u16 = 0x300;

/// Flags and nesting bits that share a field with an attribute's number.
const ATTRIBUTE_NUMBER: u16 = 0x3fff;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type: one of netlink's own, or the family's.
    pub kind: u16,
    /// The sequence number of the request that it answers.
    pub seq: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// The error of an [`ERROR`] or [`DONE`] message as a positive errno, 0 for none.
    pub fn errno(&self) -> i32 {
        i32_at(self.payload, 0).unwrap_or(0).checked_neg().unwrap_or(0).max(0)
    }
}

/// The messages of one datagram. What is cut short or says a size that does not fit ends them.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// Over a datagram.
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let bytes = self.0;
        let length = u32_at(bytes, 0)? as usize;
        let payload = bytes.get(HEADER..length)?;
        self.0 = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind: u16_at(bytes, 4)?, seq: u32_at(bytes, 8)?, payload })
    }
}

/// The attributes at the end of a message: number and value. What is cut short ends them.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Over what follows the fixed part of a message.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let bytes = self.0;
        let length = usize::from(u16_at(bytes, 0)?);
        let number = u16_at(bytes, 2)? & ATTRIBUTE_NUMBER;
        let value = bytes.get(ATTRIBUTE..length)?;
        self.0 = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((number, value))
    }
}

/// A whole message around `payload`, for the kernel.
pub fn message(kind: u16, flags: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend(((HEADER + payload.len()) as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(seq.to_ne_bytes());
    // Port 0: the kernel fills in ours.
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// The number at `at`, in the machine's byte order, as all of netlink is but addresses and ports.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// As [`u16_at`].
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// As [`u16_at`].
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    u32_at(bytes, at).map(u32::cast_signed)
}

/// A port: two bytes in network order.
pub fn port_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_follow_one_another() {
        let mut datagram = message(20, REQUEST, 7, b"abcde");
        datagram.extend([0; 3]);
        datagram.extend(message(DONE, 0, 7, &0i32.to_ne_bytes()));
        let all: Vec<_> = Messages::new(&datagram).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], Message { kind: 20, seq: 7, payload: b"abcde" });
        assert_eq!((all[1].kind, all[1].errno()), (DONE, 0));
        let refused = message(ERROR, 0, 1, &(-95i32).to_ne_bytes());
        assert_eq!(Messages::new(&refused).next().unwrap().errno(), 95);
        // A message that says it is longer than the datagram, and one shorter than its own header.
        assert_eq!(Messages::new(&datagram[..18]).count(), 0);
        assert_eq!(Messages::new(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).count(), 0);
    }

    #[test]
    fn attributes_are_padded() {
        let bytes = [5, 0, 8, 0, 3, 0, 0, 0, 8, 0, 4, 0x80, b'c', b'u', b'b', 0];
        let all: Vec<_> = Attributes::new(&bytes).collect();
        assert_eq!(all, [(8, &[3][..]), (4, &b"cub\0"[..])]);
        assert_eq!(Attributes::new(&bytes[..14]).count(), 1);
        assert_eq!(Attributes::new(&[0, 0, 0, 0]).count(), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_on_for_ever(bytes: Vec<u8>) {
            prop_assert!(Messages::new(&bytes).count() <= bytes.len());
            prop_assert!(Attributes::new(&bytes).count() <= bytes.len());
            for message in Messages::new(&bytes) {
                message.errno();
            }
        }
    }
}
