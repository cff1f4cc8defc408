//! Multicast groups: /proc/net/igmp and /proc/net/igmp6.

use crate::model::net::Group;
use crate::proc::route::address6;
use crate::proc::words;
use std::net::Ipv4Addr;

/// Groups, and the number (from 1) of the first line that is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// The groups, in the file's order.
    pub groups: Vec<Group>,
    /// The first line that could not be read; it and its like are left out.
    pub bogus: Option<usize>,
}

/// Reads /proc/net/igmp: a line for each interface, under it an indented line for each of its groups.
pub fn v4(text: &[u8]) -> Groups {
    let mut read = Groups::default();
    let mut iface: &[u8] = b"";
    // The first line is a heading.
    for (number, line) in numbered(text).skip(1) {
        let indented = line.first().is_some_and(u8::is_ascii_whitespace);
        match indented {
            true => read.push(number, group4(iface, line)),
            false => match words::of(line).nth(1) {
                // The kernel pads the name; a longer one touches its colon.
                Some(name) => iface = name.strip_suffix(b":").unwrap_or(name),
                None => read.push(number, None),
            },
        }
    }
    read
}

fn group4(iface: &[u8], line: &[u8]) -> Option<Group> {
    let mut words = words::of(line);
    // A big-endian address, printed as if it were a number of the machine's own byte order.
    let group = Ipv4Addr::from(words::hex::<8>(words.next()?)?.to_ne_bytes());
    let refs = words::decimal(words.next()?)?;
    (!iface.is_empty()).then(|| Group { iface: iface.to_vec(), refs, group: group.into() })
}

/// Reads /proc/net/igmp6: a line for each group.
pub fn v6(text: &[u8]) -> Groups {
    let mut read = Groups::default();
    for (number, line) in numbered(text) {
        read.push(number, group6(line));
    }
    read
}

fn group6(line: &[u8]) -> Option<Group> {
    let mut words = words::of(line).skip(1);
    let iface = words.next()?.to_vec();
    let group = address6(words.next()?)?;
    let refs = words::decimal(words.next()?)?;
    Some(Group { iface, refs, group: group.into() })
}

/// The lines that are not empty, with their numbers from 1.
fn numbered(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (1..).zip(text.split(|&b| b == b'\n')).filter(|(_, line)| !line.trim_ascii().is_empty())
}

impl Groups {
    fn push(&mut self, number: usize, group: Option<Group>) {
        match group {
            Some(group) => self.groups.push(group),
            None => self.bogus = self.bogus.or(Some(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(iface: &str, refs: i64, group: &str) -> Group {
        Group { iface: iface.as_bytes().to_vec(), refs, group: group.parse().unwrap() }
    }

    #[test]
    fn groups_by_interface() {
        let text = b"Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
            1\tlo        :     2      V3\n\t\t\t\t030201EF     1 0:00000000\t\t0\n\t\t\t\t010000E0    12 0:00000000\t\t0\n\
            5\taverylongname15:     1      V3\n\t\t\t\tFB0000E0     1 0:00000000\t\t0\n";
        let groups =
            vec![group("lo", 1, "239.1.2.3"), group("lo", 12, "224.0.0.1"), group("averylongname15", 1, "224.0.0.251")];
        assert_eq!(v4(text), Groups { groups, bogus: None });
        assert_eq!(
            v4(b"Idx\n\t\t010000E0 1 0\n1\tlo :\n\tzz 1\n\t010000E0"),
            Groups { groups: vec![], bogus: Some(2) }
        );
    }

    #[test]
    fn groups_of_ipv6() {
        let text = b"1    lo              ff020000000000000000000000000001     1 0000000C 0\nbad\n\
            5    averylongname15 ff050000000000000000000000000001 70000 00000008 0\n";
        let groups = vec![group("lo", 1, "ff02::1"), group("averylongname15", 70000, "ff05::1")];
        assert_eq!(v6(text), Groups { groups, bogus: Some(2) });
    }
}
