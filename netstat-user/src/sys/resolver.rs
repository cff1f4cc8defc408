//! The C library's resolver: nsswitch.conf decides who is asked. Every call here may block for as long as a name server
//! takes; the callers put them on threads of their own.

use super::lock;
use rustix::io::Errno;
use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr};
use std::ptr;
use std::sync::Mutex;

/// Largest buffer tried for one entry.
const MOST: usize = 1 << 20;

/// The enumerations keep their place in a global.
static ENUMERATION: Mutex<()> = Mutex::new(());

/// The name of a host, by getnameinfo(3).
pub fn host(address: IpAddr) -> Option<Vec<u8>> {
    host_text(address, libc::NI_NAMEREQD)
}

/// The address in the numbers of inet_ntop(3), by getnameinfo(3).
#[cfg(test)]
pub fn numeric_host(address: IpAddr) -> Option<Vec<u8>> {
    host_text(address, libc::NI_NUMERICHOST)
}

fn host_text(address: IpAddr, flags: c_int) -> Option<Vec<u8>> {
    // getnameinfo(3): NI_MAXHOST.
    let mut name = [0 as c_char; 1025];
    let mut ask = |address: *const libc::sockaddr, length: usize| {
        // SAFETY: the callers below pass a socket address of `length` bytes; `name` has the length given; no service asked.
        unsafe {
            libc::getnameinfo(
                address,
                length as libc::socklen_t,
                name.as_mut_ptr(),
                name.len() as libc::socklen_t,
                ptr::null_mut(),
                0,
                flags,
            )
        }
    };
    let failed = match address {
        IpAddr::V4(address) => {
            let address = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
                sin_zero: [0; 8],
            };
            ask(ptr::from_ref(&address).cast(), mem::size_of_val(&address))
        }
        IpAddr::V6(address) => {
            let address = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: address.octets() },
                sin6_scope_id: 0,
            };
            ask(ptr::from_ref(&address).cast(), mem::size_of_val(&address))
        }
    };
    // SAFETY: on success `name` holds a NUL-terminated string.
    (failed == 0).then(|| unsafe { text(name.as_ptr()) })
}

/// The name of a network, by getnetbyaddr(3).
pub fn network(address: Ipv4Addr) -> Option<Vec<u8>> {
    let (_, name) = with_buffer(|buffer| {
        let mut entry = MaybeUninit::<libc::netent>::uninit();
        let mut found = ptr::null_mut();
        let mut h_errno = 0;
        // SAFETY: all pointers are to live objects of the right type, and `buffer` has the length given.
        let error = unsafe {
            libc::getnetbyaddr_r(
                address.into(),
                libc::AF_INET,
                entry.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                &mut found,
                &mut h_errno,
            )
        };
        // SAFETY: not null only where it points to `entry`, filled, its strings in `buffer`.
        (error, unsafe { found.as_ref().map(|found: &libc::netent| text(found.n_name)) })
    });
    name
}

/// Whether an error of getpwnam_r(3) or getpwuid_r(3) says that there is no such user: which number the C library gives for that is not laid down.
pub fn is_no_user(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::SRCH | Errno::BADF | Errno::PERM)
}

/// The name of a user, by getpwuid_r(3); `None` where there is no such user.
///
/// # Errors
/// Its own, where they say nothing of the user.
pub fn user(uid: u32) -> rustix::io::Result<Option<Vec<u8>>> {
    let (error, name) = with_buffer(|buffer| {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = ptr::null_mut();
        // SAFETY: all pointers are to live objects of the right type, and `buffer` has the length given.
        let error = unsafe { libc::getpwuid_r(uid, entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &mut found) };
        // SAFETY: not null only where it points to `entry`, filled, its strings in `buffer`.
        (error, unsafe { found.as_ref().map(|found| text(found.pw_name)) })
    });
    // A module of nsswitch.conf answers what it likes.
    let failed = (1..4096).contains(&error).then(|| Errno::from_raw_os_error(error));
    match failed.filter(|&failed| name.is_none() && !is_no_user(failed)) {
        Some(failed) => Err(failed),
        None => Ok(name),
    }
}

/// The port of a service by its name or another name of it, by getservbyname(3).
pub fn service_port(name: &str, protocol: &CStr) -> Option<u16> {
    let name = CString::new(name).ok()?;
    let _one = lock(&ENUMERATION);
    // SAFETY: both strings end in NUL; the entry is the C library's own, which nothing else here asks for under the lock. The port
    // is in network order in the low half.
    unsafe {
        libc::getservbyname(name.as_ptr(), protocol.as_ptr()).as_ref().map(|entry| u16::from_be(entry.s_port as u16))
    }
}

/// Calls with larger buffers while the entry does not fit.
fn with_buffer<T>(mut call: impl FnMut(&mut [c_char]) -> (c_int, Option<T>)) -> (c_int, Option<T>) {
    let mut size = 1024;
    loop {
        match call(&mut vec![0; size]) {
            (libc::ERANGE, _) if size < MOST => size *= 4,
            answer => return answer,
        }
    }
}

/// Every service, by getservent(3): its protocol, its port and its name.
pub fn services() -> Vec<(Vec<u8>, u16, Vec<u8>)> {
    let _one = lock(&ENUMERATION);
    let mut all = Vec::new();
    // SAFETY: nothing else in this program enumerates services, and the lock keeps this function to itself; each entry is
    // copied before the next is asked for. The port is in network order in the low half.
    unsafe {
        setservent(0);
        while let Some(entry) = libc::getservent().as_ref() {
            all.push((text(entry.s_proto), u16::from_be(entry.s_port as u16), text(entry.s_name)));
        }
        endservent();
    }
    all
}

/// Every protocol, by getprotoent(3): its number and its name.
pub fn protocols() -> Vec<(u16, Vec<u8>)> {
    let _one = lock(&ENUMERATION);
    let mut all = Vec::new();
    // SAFETY: as for the services.
    unsafe {
        setprotoent(0);
        while let Some(entry) = getprotoent().as_ref() {
            all.push((entry.p_proto as u16, text(entry.p_name)));
        }
        endprotoent();
    }
    all
}

unsafe extern "C" {
    fn setservent(stay_open: c_int);
    fn endservent();
    fn setprotoent(stay_open: c_int);
    fn getprotoent() -> *mut libc::protoent;
    fn endprotoent();
}

/// # Safety
/// `pointer` is null or a NUL-terminated string.
unsafe fn text(pointer: *const c_char) -> Vec<u8> {
    if pointer.is_null() {
        return Vec::new();
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(pointer) }.to_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_every_system_has() {
        assert_eq!(user(0).unwrap().unwrap(), b"root");
        assert_eq!(user(0x7fff_fff1), Ok(None));
        assert!(host(Ipv4Addr::LOCALHOST.into()).is_some());
        assert!(services().contains(&(b"tcp".to_vec(), 22, b"ssh".to_vec())));
        assert!(protocols().contains(&(6, b"tcp".to_vec())));
        assert_eq!(network(Ipv4Addr::new(127, 0, 0, 0)).unwrap(), b"loopback");
    }
}
