//! What the names in an expression mean on this machine.

use crate::field::Field;
use crate::filter::{EphemeralPorts, Expr, Resolver};
use crate::proc::netns;
use crate::sys::interfaces::{Interfaces, Question, is_no_device};
use crate::sys::{resolver, why};
use nix::unistd::User;
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The machine's own names: those of services and users by the C library, hosts by its resolver.
#[derive(Clone, Debug, Default)]
pub struct MachineNames {
    /// Where rows or events are from, which have their own devices and ranges of ports.
    pub from: RowOrigin,
}

/// The network namespaces that rows or events are from.
#[derive(Clone, Debug, Default)]
pub enum RowOrigin {
    /// The reader's own.
    #[default]
    Own,
    /// These, by inode number.
    These(Vec<u32>),
    /// Any.
    All,
}

impl MachineNames {
    /// The inode numbers of namespaces that are given by name or number; those of names that nothing has are left out.
    pub fn inodes(&mut self, listed: &[String]) -> Vec<u32> {
        listed.iter().filter_map(|name| name.parse().ok().or_else(|| self.netns(name))).collect()
    }
}

/// The kernel's own default for `ip_local_port_range`, which every network namespace begins with.
const EPHEMERAL: RangeInclusive<u16> = 32_768..=60_999;

/// The number of a user, by getpwnam_r(3); `None` where there is no such user.
///
/// # Errors
/// Its own, where they say nothing of the user.
fn user_id(name: &str) -> io::Result<Option<u32>> {
    match User::from_name(name).map_err(io::Error::from) {
        Ok(user) => Ok(user.map(|user| user.uid.as_raw())),
        Err(error) if Errno::from_io_error(&error).is_none_or(resolver::is_no_user) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Resolver for MachineNames {
    fn service(&mut self, name: &str) -> Vec<u16> {
        let mut ports: Vec<u16> =
            [c"tcp", c"udp"].into_iter().filter_map(|protocol| resolver::service_port(name, protocol)).collect();
        ports.dedup();
        ports
    }

    fn host(&mut self, name: &str) -> Vec<IpAddr> {
        let mut addrs: Vec<IpAddr> = (name, 0).to_socket_addrs().into_iter().flatten().map(|addr| addr.ip()).collect();
        addrs.sort();
        addrs.dedup();
        addrs
    }

    fn user(&mut self, name: &str) -> Option<u32> {
        user_id(name).ok().flatten()
    }

    fn why_no_user(&mut self, name: &str) -> Option<String> {
        user_id(name).err().map(|error| why(&error))
    }

    fn netns(&mut self, name: &str) -> Option<u32> {
        if name == "self" {
            return netns::own(Path::new("/proc")).ok();
        }
        named(name)?.ok().map(|file| file.ino() as u32)
    }

    fn is_netns_hidden(&mut self, name: &str) -> bool {
        named(name).is_some_and(|file| file.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied))
    }

    fn has_device(&mut self, name: &str) -> bool {
        if !matches!(self.from, RowOrigin::Own) {
            return true;
        }
        // Where none can be asked for, a socket of one is not known to be of another.
        let Ok(interfaces) = Interfaces::open() else { return true };
        let is_there = |error: Option<io::Error>| error.is_none_or(|error| !is_no_device(&error));
        let by_index = |index| is_there(interfaces.name(index).err());
        is_there(interfaces.ask(name.as_bytes(), Question::Flags).err()) || name.parse().is_ok_and(by_index)
    }

    fn ephemeral(&mut self) -> EphemeralPorts {
        let (proc, names) = (Path::new("/proc"), Path::new(netns::NAMES));
        let namespaces = || netns::all(proc, names).namespaces;
        let namespaces = match &self.from {
            RowOrigin::Own => return EphemeralPorts { of: HashMap::new(), others: local_ports() },
            RowOrigin::These(list) => {
                namespaces().into_iter().filter(|namespace| list.contains(&namespace.inode)).collect()
            }
            RowOrigin::All => namespaces(),
        };
        let read = netns::each(proc, names, namespaces, |_, root| netns::inside(proc, root, local_ports));
        let known = read.into_iter().filter_map(|(namespace, ports)| Some((namespace.inode, ports.ok()?.ok()?)));
        EphemeralPorts { of: known.collect(), others: EPHEMERAL }
    }
}

/// The range of ports of the calling thread's network namespace.
fn local_ports() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) => first..=last,
        _ => EPHEMERAL,
    }
}

/// What to report of names in conditions on texts that nothing has here: no row can match them, and nothing is wrong with the expression.
/// `events` show a user without a name by the number.
pub fn unknown_names(expr: Option<&Expr>, of_events: bool) -> Vec<String> {
    let is_user = |name: &str| of_events && name.parse::<u32>().is_ok() || !matches!(user_id(name), Ok(None));
    let is_namespace =
        |name: &str| named(name).is_some_and(|file| !file.is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
    let of = |field: Field, what: &str, is_there: &dyn Fn(&str) -> bool| -> Vec<String> {
        let names = expr.and_then(|expr| expr.only(field)).unwrap_or_default().into_iter();
        let names = names.filter_map(|name| String::from_utf8(name).ok()).filter(|name| !is_there(name));
        names.map(|name| format!("--where: there is no {what} `{name}'")).collect()
    };
    [of(Field::User, "user", &is_user), of(Field::NetnsName, "network namespace", &is_namespace)].concat()
}

/// The network namespaces outside of which no row can match, by a condition on their names.
pub fn namespaces_by_name(expr: &Expr) -> Vec<u32> {
    let names = expr.only(Field::NetnsName).unwrap_or_default().into_iter();
    let inode = |name: String| named(&name)?.ok().map(|file| file.ino() as u32);
    names.filter_map(|name| String::from_utf8(name).ok()).filter_map(inode).collect()
}

/// The file of a network namespace by its name, `None` for what is no name.
fn named(name: &str) -> Option<io::Result<fs::Metadata>> {
    let is_name = !name.contains('/') && name != "." && name != "..";
    is_name.then(|| fs::metadata(Path::new(netns::NAMES).join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_every_machine_has() {
        let mut names = MachineNames::default();
        assert_eq!(names.user("root"), Some(0));
        assert_eq!(names.user("no-such-user-here"), None);
        assert_eq!(names.netns("self"), netns::own(Path::new("/proc")).ok());
        assert_eq!((names.netns("../netns"), names.netns("no-such-name")), (None, None));
        assert_eq!(names.host("127.0.0.1"), [IpAddr::from([127, 0, 0, 1])]);
        assert!(names.service("no-such-service").is_empty());
        let of_user =
            |name: &str| crate::filter::parse(&format!("user = {name}"), crate::field::RowKinds::ALL).unwrap();
        let unknown = |name: &str, of_events| unknown_names(Some(&of_user(name)), of_events).len();
        assert_eq!([unknown("root", false), unknown("3999999999", false), unknown("3999999999", true)], [0, 1, 0]);
        assert!(names.has_device("lo") && !names.has_device("no-such-device"));
        assert!(MachineNames { from: RowOrigin::All }.has_device("no-such-device"));
        let own = netns::own(Path::new("/proc")).unwrap();
        let of_own = MachineNames { from: RowOrigin::These(vec![own]) }.ephemeral().of;
        assert_eq!(of_own, HashMap::from([(own, names.ephemeral().others)]));
    }
}
