//! Counters of the network stack: /proc/net/snmp and netstat (two lines a table: names, then values), /proc/net/snmp6
//! and sctp/snmp (one counter a line).

use crate::model::net::{CounterTable, KernelCounter};
use crate::proc::words;

/// Counters read from a file whose tables are pairs of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// The tables before the first broken pair.
    pub tables: Vec<CounterTable>,
    /// Whether a line without a heading was met; nothing is read after it.
    pub broken: bool,
}

/// Reads /proc/net/snmp or /proc/net/netstat. A name without a value is left out, and so is a last line of names alone.
pub fn pairs(text: &[u8]) -> Pairs {
    let mut lines = text.split(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut pairs = Pairs::default();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((heading, names)), Some((_, values))) = (after_colon(names), after_colon(values)) else {
            pairs.broken = true;
            break;
        };
        let counters = words::of(names)
            .zip(words::of(values))
            .map(|(name, value)| KernelCounter { name: name.to_vec(), value: number(value) })
            .collect();
        pairs.tables.push(CounterTable { name: heading.to_vec(), counters });
    }
    pairs
}

/// Reads /proc/net/snmp6: the table is the front of a counter's name, up to its `6` (the whole name where there is none).
/// A new table begins wherever that front changes.
pub fn snmp6(text: &[u8]) -> Vec<CounterTable> {
    let mut tables: Vec<CounterTable> = Vec::new();
    for counter in singles(text) {
        let front = counter.name.iter().position(|&b| b == b'6').map_or(&counter.name[..], |at| &counter.name[..=at]);
        if tables.last().is_none_or(|table| table.name != front) {
            tables.push(CounterTable { name: front.to_vec(), counters: Vec::new() });
        }
        if let Some(table) = tables.last_mut() {
            table.counters.push(counter);
        }
    }
    tables
}

/// Reads /proc/net/sctp/snmp.
pub fn sctp(text: &[u8]) -> CounterTable {
    CounterTable { name: b"Sctp".to_vec(), counters: singles(text).collect() }
}

/// Lines of a name and a value; others are left out.
fn singles(text: &[u8]) -> impl Iterator<Item = KernelCounter> {
    text.split(|&b| b == b'\n').filter_map(|line| {
        let mut words = words::of(line);
        let (name, value) = (words.next()?, words.next()?);
        Some(KernelCounter { name: name.to_vec(), value: number(value) })
    })
}

fn after_colon(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|&b| b == b':')?;
    Some((&line[..at], &line[at + 1..]))
}

/// The number a word begins with, 0 if it begins with none; saturated at the ends of 64 bits.
fn number(word: &[u8]) -> i128 {
    let (negative, digits) = match word.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    let mut value: i128 = 0;
    for &digit in digits.iter().take_while(|b| b.is_ascii_digit()) {
        value = (value * 10 + i128::from(digit - b'0')).min(i128::from(u64::MAX));
    }
    if negative { (-value).max(i128::from(i64::MIN)) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, counters: &[(&str, i128)]) -> CounterTable {
        let counter = |&(name, value): &(&str, i128)| KernelCounter { name: name.as_bytes().to_vec(), value };
        CounterTable { name: name.as_bytes().to_vec(), counters: counters.iter().map(counter).collect() }
    }

    #[test]
    fn pairs_of_lines() {
        let text = b"Tcp: RtoMin MaxConn InSegs\nTcp: 200 -1 18446744073709551616\n\nIp:\nIp:\nUdp: A B\nUdp: 7x\n";
        let read = pairs(text);
        assert!(!read.broken);
        let max = i128::from(u64::MAX);
        assert_eq!(
            read.tables,
            [
                table("Tcp", &[("RtoMin", 200), ("MaxConn", -1), ("InSegs", max)]),
                table("Ip", &[]),
                table("Udp", &[("A", 7)])
            ]
        );
    }

    #[test]
    fn broken_pairs() {
        assert_eq!(pairs(b"Ip: A\nIp: 1\nUdp A\nUdp: 1\n").tables, [table("Ip", &[("A", 1)])]);
        assert!(pairs(b"Ip: A\nIp 1\n").broken);
        assert_eq!(pairs(b"Ip: A\n"), Pairs::default());
        assert_eq!(pairs(b""), Pairs::default());
    }

    #[test]
    fn counters_by_line() {
        let read = snmp6(b"Ip6InReceives \t1\nIp6OutRequests 2\nUdpLite6NoPorts 3\nbad\nOther 4\nIp6FragOKs 5\n");
        assert_eq!(
            read,
            [
                table("Ip6", &[("Ip6InReceives", 1), ("Ip6OutRequests", 2)]),
                table("UdpLite6", &[("UdpLite6NoPorts", 3)]),
                table("Other", &[("Other", 4)]),
                table("Ip6", &[("Ip6FragOKs", 5)]),
            ]
        );
        assert_eq!(sctp(b"SctpCurrEstab \t3\n"), table("Sctp", &[("SctpCurrEstab", 3)]));
    }
}
