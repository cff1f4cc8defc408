//! Interfaces by ioctl(2), netdevice(7): rustix has only the one that maps names to indices, and /proc and netlink have
//! no aliases or no interface maps.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// `struct ifreq`: a name and what is asked or answered about it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Ifreq {
    name: [u8; 16],
    value: [u8; 24],
}

impl Ifreq {
    fn name(&self) -> Vec<u8> {
        self.name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
    }
}

const _: () = assert!(size_of::<Ifreq>() == size_of::<libc::ifreq>());

/// What can be asked about an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `short`: `IFF_…`
    Flags,
    /// `sockaddr`: the hardware type as its family, and the address.
    Hardware,
    /// `int`
    Mtu,
    /// `struct ifmap`
    Map,
    /// `int`
    QueueLength,
    /// `sockaddr`
    Address,
    /// `sockaddr`
    Destination,
    /// `sockaddr`
    Broadcast,
    /// `sockaddr`
    Netmask,
}

/// A socket of this thread's network namespace to ask through.
#[derive(Debug)]
pub struct Interfaces(OwnedFd);

impl Interfaces {
    /// Opens the socket.
    ///
    /// # Errors
    /// The failure of socket(2).
    pub fn open() -> io::Result<Self> {
        Ok(Self(socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?))
    }

    /// What the kernel answers about an interface: the bytes after the name in `struct ifreq`.
    ///
    /// # Errors
    /// The failure of ioctl(2): `ENODEV` where there is no such interface (any more), `EADDRNOTAVAIL` where it has no
    /// such address.
    pub fn ask(&self, name: &[u8], question: Question) -> io::Result<[u8; 24]> {
        let mut request = Ifreq { name: [0; 16], value: [0; 24] };
        if name.len() >= request.name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        request.name[..name.len()].copy_from_slice(name);
        let code = match question {
            Question::Flags => libc::SIOCGIFFLAGS,
            Question::Hardware => libc::SIOCGIFHWADDR,
            Question::Mtu => libc::SIOCGIFMTU,
            Question::Map => libc::SIOCGIFMAP,
            Question::QueueLength => libc::SIOCGIFTXQLEN,
            Question::Address => libc::SIOCGIFADDR,
            Question::Destination => libc::SIOCGIFDSTADDR,
            Question::Broadcast => libc::SIOCGIFBRDADDR,
            Question::Netmask => libc::SIOCGIFNETMASK,
        };
        self.exchange(code, &mut request)?;
        Ok(request.value)
    }

    /// The name of the interface with this index, in bytes of which the kernel only knows that they are no blank and no slash.
    ///
    /// # Errors
    /// The failure of ioctl(2): `ENODEV` where there is no such interface (any more).
    pub fn name(&self, index: u32) -> io::Result<Vec<u8>> {
        let mut request = Ifreq { name: [0; 16], value: [0; 24] };
        request.value[..4].copy_from_slice(&index.to_ne_bytes());
        self.exchange(libc::SIOCGIFNAME, &mut request)?;
        Ok(request.name())
    }

    fn exchange(&self, code: libc::Ioctl, request: &mut Ifreq) -> io::Result<()> {
        // SAFETY: each of the requests made here reads and writes one `struct ifreq`, which `request` is the size and layout of.
        let outcome = unsafe { libc::ioctl(self.0.as_raw_fd(), code, &raw mut *request) };
        if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The names of the interfaces and aliases with an IPv4 address, in the kernel's order.
    ///
    /// # Errors
    /// The failure of ioctl(2).
    pub fn with_address(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut room = 32;
        loop {
            let mut requests = vec![Ifreq { name: [0; 16], value: [0; 24] }; room];
            let bytes = libc::c_int::try_from(size_of_val(&requests[..])).map_err(io::Error::other)?;
            let mut list = libc::ifconf {
                ifc_len: bytes,
                ifc_ifcu: libc::__c_anonymous_ifc_ifcu { ifcu_req: requests.as_mut_ptr().cast() },
            };
            // SAFETY: `list` points at `ifc_len` bytes of `requests`, which outlives the call and is not touched in it.
            if unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCGIFCONF, &raw mut list) } < 0 {
                return Err(io::Error::last_os_error());
            }
            let filled = usize::try_from(list.ifc_len).unwrap_or(0) / size_of::<Ifreq>();
            // A full list may have been cut.
            if filled < room {
                requests.truncate(filled);
                return Ok(requests.iter().map(Ifreq::name).collect());
            }
            room *= 4;
        }
    }
}

/// Whether there is no such device; else it may be there, and could not be asked about. A name that is too long is of none.
pub fn is_no_device(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENODEV) || error.kind() == io::ErrorKind::InvalidInput
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there() {
        let interfaces = Interfaces::open().unwrap();
        let flags = interfaces.ask(b"lo", Question::Flags).unwrap();
        assert_ne!(u16::from_ne_bytes([flags[0], flags[1]]) & 0x8, 0, "IFF_LOOPBACK");
        assert!(interfaces.with_address().unwrap().contains(&b"lo".to_vec()));
        let gone = interfaces.ask(b"none-such", Question::Flags).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(libc::ENODEV));
        assert!(interfaces.ask(b"sixteen-bytes-by", Question::Flags).is_err());
        assert_eq!(interfaces.name(1).unwrap(), b"lo");
        assert_eq!(interfaces.name(u32::MAX >> 1).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
