//! [`Limits`] as the programs have them: globals that are set before the object is loaded, and maps that are filled before a program runs.

use crate::model::{
    Limits, Proto,
    limits::{Kinds, PORT_WORDS, Ports, Prefixes},
};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, MapError},
};
use netstat_ebpf::{
    Kind, filter, globals,
    linux::{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE},
    maps, proto_bit,
};

/// A set of ports as [`maps::PORT_SETS`] has it.
type PortSet = [u64; filter::PORT_WORDS];

/// A prefix as [`maps::PREFIXES`] has it.
type PrefixWords = [u64; 4];

/// Values of the programs' globals and maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters {
    /// Bits by [`netstat_ebpf::proto_bit`].
    pub protos: u32,
    kinds: u32,
    entered: u32,
    left: u32,
    ports: u32,
    addrs: u32,
    unknown_addrs: u32,
    prefix_counts: u32,
    lists: u32,
    listed_pids: u32,
    listed_netns: u32,
    listed: [u32; 2 * filter::LISTED],
    cgroups: [u64; 2 * filter::CGROUPS_LISTED],
    port_sets: Vec<(u32, Box<PortSet>)>,
    prefixes: Vec<(u32, PrefixWords)>,
    /// Whether nothing can pass.
    pub nothing: bool,
}

impl Filters {
    /// The limits, but for sets that have more members than the programs have room for.
    pub fn of(limits: &Limits) -> Self {
        let mut filters = Self {
            protos: limits.protos.as_deref().map_or(u32::MAX, proto_bits),
            kinds: limits.kinds.map_or(u32::MAX, kind_bits),
            entered: limits.entered.map_or(u32::MAX, |states| states.bits()),
            left: limits.left.map_or(u32::MAX, |states| states.bits()),
            ports: 0,
            addrs: 0,
            unknown_addrs: 0,
            prefix_counts: 0,
            lists: 0,
            listed_pids: 0,
            listed_netns: 0,
            listed: [0; 2 * filter::LISTED],
            cgroups: [0; 2 * filter::CGROUPS_LISTED],
            port_sets: Vec::new(),
            prefixes: Vec::new(),
            nothing: limits.is_nothing(),
        };
        let ends = [
            (filter::LOCAL, &limits.lports, &limits.laddrs),
            (filter::REMOTE, &limits.rports, &limits.raddrs),
            (filter::EITHER, &limits.ports, &limits.addrs),
        ];
        for (end, ports, addrs) in ends {
            if let Some(ports) = ports {
                filters.ports |= 1 << end;
                filters.port_sets.push((end, port_set(ports)));
            }
            if let Some(addrs) = addrs {
                filters.limit_addrs(end, addrs);
            }
        }
        filters.limit_numbers(filter::PIDS, 0, limits.pids.as_deref());
        filters.limit_numbers(filter::NETNS, filter::LISTED, limits.netns.as_deref());
        if let Some(cgroups) = limits.cgroups.as_ref().filter(|cgroups| cgroups.len() <= filter::CGROUPS_LISTED) {
            filters.lists |= filter::CGROUPS;
            for (place, cgroup) in filters.cgroups.chunks_exact_mut(2).zip(cgroups) {
                place.copy_from_slice(&[cgroup.id, u64::from(cgroup.level)]);
            }
        }
        filters
    }

    fn limit_addrs(&mut self, end: u32, addrs: &Prefixes) {
        let listed = addrs.list.len();
        if listed > filter::PREFIXES_LISTED {
            return;
        }
        self.addrs |= 1 << end;
        self.unknown_addrs |= u32::from(addrs.unknown) << end;
        // There are no more than a byte holds.
        self.prefix_counts |= (listed as u32) << (end * 8);
        let from = end * filter::PREFIXES_LISTED as u32;
        self.prefixes.extend((from..).zip(&addrs.list).map(|(place, prefix)| {
            let (first, mask) = prefix.bits();
            let ([first_high, first_low], [mask_high, mask_low]) = (words(first), words(mask));
            (place, [first_high, first_low, mask_high, mask_low])
        }));
    }

    fn limit_numbers(&mut self, list: u32, from: usize, numbers: Option<&[u32]>) {
        let Some(numbers) = numbers.filter(|numbers| numbers.len() <= filter::LISTED) else { return };
        self.lists |= list;
        self.listed[from..from + numbers.len()].copy_from_slice(numbers);
        // There are no more than `LISTED`.
        let count = numbers.len() as u32;
        match list {
            filter::NETNS => self.listed_netns = count,
            _ => self.listed_pids = count,
        }
    }

    /// Whether the records of an event are wanted at all.
    pub const fn has(&self, kind: Kind) -> bool {
        self.kinds & 1 << kind as u32 != 0
    }

    /// Sets the globals.
    pub fn set<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        for (name, value) in [
            (globals::PROTOS, &self.protos),
            (globals::KINDS, &self.kinds),
            (globals::ENTERED, &self.entered),
            (globals::LEFT, &self.left),
            (globals::PORTS, &self.ports),
            (globals::ADDRS, &self.addrs),
            (globals::UNKNOWN_ADDRS, &self.unknown_addrs),
            (globals::PREFIX_COUNTS, &self.prefix_counts),
            (globals::LISTS, &self.lists),
            (globals::LISTED_PIDS, &self.listed_pids),
            (globals::LISTED_NETNS, &self.listed_netns),
        ] {
            loader.override_global(name, value, true);
        }
        loader.override_global(globals::LISTED, &self.listed[..], true);
        loader.override_global(globals::CGROUPS, &self.cgroups[..], true);
    }

    /// Fills the maps.
    ///
    /// # Errors
    /// Why the kernel would not; `ItemNotFound`-like where the object is another one.
    pub fn fill(&self, ebpf: &mut Ebpf) -> Result<(), MapError> {
        let lacks = |name: &str| MapError::InvalidName { name: name.to_owned() };
        let map = ebpf.map_mut(maps::PORT_SETS).ok_or_else(|| lacks(maps::PORT_SETS))?;
        let mut sets = Array::<_, PortSet>::try_from(map)?;
        for (end, set) in &self.port_sets {
            sets.set(*end, **set, 0)?;
        }
        let map = ebpf.map_mut(maps::PREFIXES).ok_or_else(|| lacks(maps::PREFIXES))?;
        let mut prefixes = Array::<_, PrefixWords>::try_from(map)?;
        for &(place, words) in &self.prefixes {
            prefixes.set(place, words, 0)?;
        }
        Ok(())
    }
}

fn port_set(ports: &Ports) -> Box<PortSet> {
    let mut set = Box::new([0; filter::PORT_WORDS]);
    set[..PORT_WORDS].copy_from_slice(ports.words());
    // The bit of an unknown port is the first of the word after those.
    set[PORT_WORDS] = u64::from(ports.unknown);
    set
}

/// A number of an IPv6 address as two words, as they lie in memory.
fn words(number: u128) -> [u64; 2] {
    let bytes = number.to_be_bytes();
    let word = |at: usize| bytes[at..].first_chunk().map_or(0, |&word| u64::from_ne_bytes(word));
    [word(0), word(8)]
}

fn kind_bits(kinds: Kinds) -> u32 {
    let bit = |kinds_bit, kind: Kind| if kinds.meets(kinds_bit) { 1 << kind as u32 } else { 0 };
    bit(Kinds::OPEN, Kind::Open) | bit(Kinds::STATE, Kind::State) | bit(Kinds::CLOSE, Kind::Close)
}

fn proto_bits(protos: &[Proto]) -> u32 {
    let bit = |proto: &Proto| match proto {
        Proto::Tcp | Proto::Tcp6 => proto_bit(IPPROTO_TCP, false, proto.is_v6()),
        Proto::Udp | Proto::Udp6 => proto_bit(IPPROTO_UDP, false, proto.is_v6()),
        Proto::UdpLite | Proto::UdpLite6 => proto_bit(IPPROTO_UDPLITE, false, proto.is_v6()),
        Proto::Raw | Proto::Raw6 => proto_bit(0, true, proto.is_v6()),
    };
    protos.iter().filter_map(bit).fold(0, |bits, bit| bits | bit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Network, limits::Cgroup};

    #[test]
    fn no_limit_lets_everything_pass() {
        let filters = Filters::of(&Limits::default());
        let all = [filters.protos, filters.kinds, filters.entered, filters.left];
        assert_eq!(all, [u32::MAX; 4]);
        assert_eq!([filters.ports, filters.addrs, filters.lists], [0; 3]);
        assert!(!filters.nothing && Filters::of(&Limits::nothing()).nothing);
    }

    #[test]
    fn sets_are_laid_out_as_the_programs_read_them() {
        let prefix = |addr: &str, len| Network { addr: addr.parse().unwrap(), len };
        let filters = Filters::of(&Limits {
            rports: Some(Ports::one(65).with_unknown(true)),
            addrs: Some(Prefixes { list: vec![prefix("10.0.0.0", 8), prefix("fe80::", 10)], unknown: true }),
            pids: Some(vec![7, 8]),
            cgroups: Some(vec![Cgroup { id: 77, level: 2 }]),
            ..Limits::default()
        });
        assert_eq!((filters.ports, filters.addrs, filters.unknown_addrs), (1 << 1, 1 << 2, 1 << 2));
        let [(filter::REMOTE, set)] = &filters.port_sets[..] else { panic!("{:?}", filters.port_sets) };
        assert_eq!((set[0], set[1], set[PORT_WORDS]), (0, 2, 1));
        assert_eq!(filters.prefix_counts, 2 << 16);
        let first = 2 * filter::PREFIXES_LISTED as u32;
        let memory = |bytes: [u8; 8]| u64::from_ne_bytes(bytes);
        let [(place, v4), (next, v6)] = filters.prefixes[..] else { panic!("two") };
        assert_eq!((place, next), (first, first + 1));
        assert_eq!(
            v4,
            [0, memory([0, 0, 255, 255, 10, 0, 0, 0]), u64::MAX, memory([255, 255, 255, 255, 255, 0, 0, 0])]
        );
        assert_eq!(v6, [memory([0xfe, 0x80, 0, 0, 0, 0, 0, 0]), 0, memory([0xff, 0xc0, 0, 0, 0, 0, 0, 0]), 0]);
        assert_eq!(filters.lists, filter::PIDS | filter::CGROUPS);
        assert_eq!((filters.listed[..3].to_vec(), filters.listed[15]), (vec![7, 8, 0], 0));
        assert_eq!((filters.listed_pids, filters.listed_netns), (2, 0));
        assert_eq!(filters.cgroups[..3], [77, 2, 0]);
    }

    #[test]
    fn sets_that_have_no_room_do_not_limit() {
        let filters = Filters::of(&Limits {
            pids: Some((1..=17).collect()),
            netns: Some((1..=16).collect()),
            laddrs: Some(Prefixes { list: vec![Network { addr: [10, 0, 0, 1].into(), len: 32 }; 17], unknown: false }),
            cgroups: Some(vec![Cgroup { id: 1, level: 0 }; 9]),
            ..Limits::default()
        });
        assert_eq!((filters.lists, filters.addrs), (filter::NETNS, 0));
    }
}
