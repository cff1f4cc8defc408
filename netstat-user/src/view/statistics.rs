//! `-s`: the kernel's counters, as net-tools' sentences or as JSON.

mod sentences;

use crate::lang::Lang;
use crate::model::net::CounterTable;
use crate::model::visible::escape;
use crate::view::json;
use sentences::{SentenceGroup, SentenceKind};

/// Which tables to print, of those net-tools knows; the others are always printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the protocols' letters")]
pub struct Sections {
    pub tcp: bool,
    pub udp: bool,
    pub raw: bool,
    pub sctp: bool,
}

impl Sections {
    /// Everything.
    pub const ALL: Self = Self { tcp: true, udp: true, raw: true, sctp: true };

    /// Whether a table with this heading is printed.
    pub fn takes(self, table: &[u8]) -> bool {
        sentences::known(table).is_none_or(|(group, _)| match group {
            SentenceGroup::Tcp => self.tcp,
            SentenceGroup::Udp => self.udp,
            SentenceGroup::Raw => self.raw,
            SentenceGroup::Sctp => self.sctp,
        })
    }
}

/// Where in a table the last line was printed: unknown counters after it are indented alike, even in the next table
/// where net-tools does not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CounterPlace {
    Table,
    Input,
    Output,
}

impl CounterPlace {
    const fn indent(self) -> usize {
        match self {
            Self::Table => 4,
            Self::Input | Self::Output => 8,
        }
    }
}

/// Prints tables one after the other.
#[derive(Debug)]
pub struct SentencePrinter<'a> {
    lang: &'a Lang,
    select: Sections,
    place: CounterPlace,
}

impl<'a> SentencePrinter<'a> {
    /// A printer at the start of the output.
    pub const fn new(lang: &'a Lang, select: Sections) -> Self {
        Self { lang, select, place: CounterPlace::Table }
    }

    /// One table, if it is selected: its heading, then a line for each counter that is to be shown.
    pub fn table(&mut self, out: &mut Vec<u8>, table: &CounterTable) {
        let known = match sentences::known(&table.name) {
            Some((_, sentences)) => {
                // Even where it is not selected.
                self.place = CounterPlace::Table;
                sentences
            }
            None => &[],
        };
        if !self.select.takes(&table.name) {
            return;
        }
        out.extend_from_slice(&escape(&table.name));
        out.extend_from_slice(b":\n");
        for counter in &table.counters {
            // Counters are unsigned; the only negative number is a setting, which is not shown.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "two's complement, as strtoull")]
            let value = counter.value as u64;
            match known.binary_search_by(|(name, ..)| name.cmp(&counter.name.as_slice())) {
                Ok(at) => self.known(out, known[at].1, known[at].2, value),
                Err(_) if value == 0 => {}
                Err(_) => {
                    self.indent(out);
                    out.extend_from_slice(&escape(&counter.name));
                    out.extend_from_slice(format!(": {value}\n").as_bytes());
                }
            }
        }
    }

    fn known(&mut self, out: &mut Vec<u8>, kind: SentenceKind, sentence: &str, value: u64) {
        let place = match kind {
            SentenceKind::Never => return,
            SentenceKind::NonZero if value == 0 => return,
            SentenceKind::Always | SentenceKind::NonZero => CounterPlace::Table,
            SentenceKind::Input => CounterPlace::Input,
            SentenceKind::Output => CounterPlace::Output,
        };
        if place != self.place {
            // The title stands where the line before it stood.
            let title = match place {
                CounterPlace::Table => None,
                CounterPlace::Input => Some("ICMP input histogram:"),
                CounterPlace::Output => Some("ICMP output histogram:"),
            };
            if let Some(title) = title {
                self.indent(out);
                out.extend_from_slice(self.lang.text(title));
                out.push(b'\n');
            }
            self.place = place;
        }
        if value == 0 && kind != SentenceKind::Always {
            return;
        }
        self.indent(out);
        let (before, after) = sentence.split_once('#').unwrap_or((sentence, ""));
        out.extend_from_slice(format!("{before}{value}{after}\n").as_bytes());
    }

    fn indent(&self, out: &mut Vec<u8>) {
        out.resize(out.len() + self.place.indent(), b' ');
    }
}

/// One table as a JSON object: `table` is its heading, each counter a number under its name in `snake_case`.
pub fn json(out: &mut Vec<u8>, table: &CounterTable) {
    let mut object = json::Object::begin(out);
    object.string("table", &table.name);
    for counter in &table.counters {
        object.number(&json::snake_case(&counter.name), counter.value);
    }
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::net::KernelCounter;

    fn table(name: &str, counters: &[(&str, i128)]) -> CounterTable {
        let counter = |&(name, value): &(&str, i128)| KernelCounter { name: name.as_bytes().to_vec(), value };
        CounterTable { name: name.as_bytes().to_vec(), counters: counters.iter().map(counter).collect() }
    }

    fn print(lang: &Lang, tables: &[CounterTable]) -> String {
        let (mut out, mut printer) = (Vec::new(), SentencePrinter::new(lang, Sections::ALL));
        tables.iter().for_each(|table| printer.table(&mut out, table));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn sentences_are_sorted() {
        for name in ["Icmp", "Icmp6", "Ip", "Ip6", "Sctp", "Tcp", "TcpExt", "Udp", "Udp6"] {
            let (_, sentences) = sentences::known(name.as_bytes()).unwrap();
            assert!(sentences.windows(2).all(|pair| pair[0].0 < pair[1].0), "{name}");
            for (name, kind, text) in sentences {
                let values = text.matches('#').count();
                assert_eq!(values, usize::from(*kind != SentenceKind::Never), "{}", name.escape_ascii());
            }
        }
    }

    /// What netstat printed for a /proc/net/snmp of these counters.
    #[test]
    fn histograms_indent_what_follows() {
        let tables = [
            table(
                "Icmp",
                &[
                    ("InMsgs", 0),
                    ("InDestUnreachs", 1),
                    ("Foo", 2),
                    ("InEchos", 0),
                    ("OutEchos", 5),
                    ("OutRateLimitHost", 6),
                ],
            ),
            table("IcmpMsg", &[("InType3", 1), ("InType4", 0)]),
            table("Tcp", &[("New", 1), ("RtoAlgorithm", 1), ("MaxConn", -1), ("ActiveOpens", 0)]),
            table("IpExt", &[]),
        ];
        let english = "Icmp:
    0 ICMP messages received
    ICMP input histogram:
        destination unreachable: 1
        Foo: 2
        ICMP output histogram:
        echo requests: 5
        OutRateLimitHost: 6
IcmpMsg:
        InType3: 1
Tcp:
    New: 1
    0 active connection openings
IpExt:
";
        assert_eq!(print(&Lang::ENGLISH, &tables), english);
        let german = english.replace("input histogram", "Eingabe").replace("output histogram", "Ausgabe");
        let german = german.replace("ICMP Eingabe", "ICMP-Eingabehistogramm");
        let german = german.replace("ICMP Ausgabe", "ICMP-Ausgabehistogramm");
        assert_eq!(print(&Lang::german_utf8(), &tables), german);
    }

    #[test]
    fn counters_that_are_lines_or_nothing() {
        let tcpext = [("TWKilled", 3), ("TW", 0), ("TCPHPHits", 0), ("TCPTimeouts", 9), ("DelayedACKLost", 2)];
        assert_eq!(
            print(&Lang::ENGLISH, &[table("TcpExt", &tcpext)]),
            "TcpExt:\n    TWKilled: 3\n    0 packet headers predicted\n    TCPTimeouts: 9\n    \
             Quick ack mode was activated 2 times\n"
        );
        assert_eq!(
            print(&Lang::ENGLISH, &[table("Odd\x1b", &[("A\n", -1)])]),
            format!("Odd\\x1b:\n    A\\n: {}\n", u64::MAX)
        );
    }

    #[test]
    fn selectors_hide_known_tables_only() {
        let udp = Sections { udp: true, ..Sections::default() };
        let shown =
            ["Ip", "Tcp", "TcpExt", "Udp", "Udp6", "UdpLite", "MPTcpExt"].map(|name| udp.takes(name.as_bytes()));
        assert_eq!(shown, [false, false, false, true, true, true, true]);
        assert!(Sections::ALL.takes(b"Sctp"));
    }

    #[test]
    fn tables_as_json() {
        let mut out = Vec::new();
        json(&mut out, &table("Tcp", &[("MaxConn", -1), ("ActiveOpens", 42)]));
        assert_eq!(String::from_utf8(out).unwrap(), "{\"table\":\"Tcp\",\"max_conn\":-1,\"active_opens\":42}\n");
    }
}
