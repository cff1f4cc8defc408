//! What the kernel knows of a TCP connection, as a line below its row and as a JSON object.

use crate::model::visible::escape_word;
use crate::model::{INFO_FIELDS, TcpInfo};
use crate::view::json::Object;
use crate::view::text::put;

/// How a value of the line is written.
enum ValueForm {
    /// As it is.
    Plain,
    /// Of microseconds, in milliseconds.
    Millis,
    /// Of bytes a second, in bits a second.
    Bits,
    /// The value, and behind a slash that of the second name.
    With(&'static str),
    /// Both in milliseconds.
    MillisWith(&'static str),
}

/// Every value says something.
const ALWAYS: Option<u64> = None;
/// 0 says nothing.
const UNLESS_0: Option<u64> = Some(0);
/// The kernel's default (`tcp_reordering`).
const UNLESS_3: Option<u64> = Some(3);

/// The line's names, those of the values, how they are written, and the value for which they are left out, as ss does.
const LINE: [(&str, &str, ValueForm, Option<u64>); 42] = [
    ("rto", "rto_us", ValueForm::Millis, ALWAYS),
    ("rtt", "rtt_us", ValueForm::MillisWith("rttvar_us"), ALWAYS),
    ("ato", "ato_us", ValueForm::Millis, ALWAYS),
    ("backoff", "backoff", ValueForm::Plain, UNLESS_0),
    ("mss", "mss", ValueForm::Plain, ALWAYS),
    ("pmtu", "pmtu", ValueForm::Plain, ALWAYS),
    ("rcvmss", "rcv_mss", ValueForm::Plain, ALWAYS),
    ("advmss", "advmss", ValueForm::Plain, ALWAYS),
    ("cwnd", "cwnd", ValueForm::Plain, ALWAYS),
    ("ssthresh", "ssthresh", ValueForm::Plain, ALWAYS),
    ("bytes_sent", "bytes_sent", ValueForm::Plain, UNLESS_0),
    ("bytes_retrans", "bytes_retrans", ValueForm::Plain, UNLESS_0),
    ("bytes_acked", "bytes_acked", ValueForm::Plain, UNLESS_0),
    ("bytes_received", "bytes_received", ValueForm::Plain, UNLESS_0),
    ("segs_out", "segs_out", ValueForm::Plain, UNLESS_0),
    ("segs_in", "segs_in", ValueForm::Plain, UNLESS_0),
    ("data_segs_out", "data_segs_out", ValueForm::Plain, UNLESS_0),
    ("data_segs_in", "data_segs_in", ValueForm::Plain, UNLESS_0),
    ("lastsnd", "last_send_ms", ValueForm::Plain, ALWAYS),
    ("lastrcv", "last_recv_ms", ValueForm::Plain, ALWAYS),
    ("lastack", "last_ack_ms", ValueForm::Plain, ALWAYS),
    ("pacing_rate", "pacing_rate", ValueForm::Bits, ALWAYS),
    ("delivery_rate", "delivery_rate", ValueForm::Bits, ALWAYS),
    ("delivered", "delivered", ValueForm::Plain, UNLESS_0),
    ("busy", "busy_us", ValueForm::Millis, UNLESS_0),
    ("rwnd_limited", "rwnd_limited_us", ValueForm::Millis, UNLESS_0),
    ("sndbuf_limited", "sndbuf_limited_us", ValueForm::Millis, UNLESS_0),
    ("unacked", "unacked", ValueForm::Plain, UNLESS_0),
    ("retrans", "retrans_out", ValueForm::With("retransmits"), UNLESS_0),
    ("lost", "lost", ValueForm::Plain, UNLESS_0),
    ("sacked", "sacked", ValueForm::Plain, UNLESS_0),
    ("dsack_dups", "dsack_dups", ValueForm::Plain, UNLESS_0),
    ("reordering", "reordering", ValueForm::Plain, UNLESS_3),
    ("reord_seen", "reord_seen", ValueForm::Plain, UNLESS_0),
    ("rcv_rtt", "rcv_rtt_us", ValueForm::Millis, ALWAYS),
    ("rcv_space", "rcv_space", ValueForm::Plain, ALWAYS),
    ("rcv_ssthresh", "rcv_ssthresh", ValueForm::Plain, ALWAYS),
    ("notsent", "bytes_not_sent", ValueForm::Plain, UNLESS_0),
    ("minrtt", "min_rtt_us", ValueForm::Millis, ALWAYS),
    ("rcv_ooopack", "rcv_ooopack", ValueForm::Plain, UNLESS_0),
    ("snd_wnd", "snd_wnd", ValueForm::Plain, UNLESS_0),
    ("rcv_wnd", "rcv_wnd", ValueForm::Plain, UNLESS_0),
];

/// The line, with its newline.
pub fn line(out: &mut Vec<u8>, info: &TcpInfo) {
    out.push(b'\t');
    if let Some(name) = info.congestion() {
        out.push(b' ');
        out.extend_from_slice(&escape_word(name));
    }
    for (name, key, form, nothing) in &LINE {
        let second = match form {
            ValueForm::With(other) | ValueForm::MillisWith(other) => info.get(other),
            _ => None,
        };
        let says = |value: u64| Some(value) != *nothing || second.is_some_and(|second| second > 0);
        let Some(value) = info.get(key).filter(|&value| says(value)) else { continue };
        put!(out, " {name}:");
        match form {
            ValueForm::Plain => put!(out, "{value}"),
            ValueForm::Bits => put!(out, "{}", value.saturating_mul(8)),
            ValueForm::Millis => millis(out, value),
            ValueForm::With(_) => put!(out, "{value}/{}", second.unwrap_or(0)),
            ValueForm::MillisWith(_) => {
                millis(out, value);
                out.push(b'/');
                millis(out, second.unwrap_or(0));
            }
        }
    }
    out.push(b'\n');
}

/// Microseconds as milliseconds, without zeroes at the end.
fn millis(out: &mut Vec<u8>, micros: u64) {
    put!(out, "{}", micros / 1000);
    if !micros.is_multiple_of(1000) {
        let text = format!(".{:03}", micros % 1000);
        out.extend_from_slice(text.trim_end_matches('0').as_bytes());
    }
}

/// `info`, or `null`.
pub fn json(object: &mut Object<'_>, info: Option<&TcpInfo>) {
    let Some(info) = info else { return object.optional("info", None::<u8>) };
    let mut inner = object.object("info");
    inner.optional_string("congestion", info.congestion());
    for (at, field) in INFO_FIELDS.iter().enumerate() {
        inner.optional(field.name, info.at(at));
    }
    inner.close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{INFO_COUNT, INFO_WORDS};

    fn info(values: &[(&str, u64)]) -> TcpInfo {
        let mut all = [None; INFO_COUNT];
        for (name, value) in values {
            all[INFO_FIELDS.iter().position(|field| field.name == *name).unwrap()] = Some(*value);
        }
        TcpInfo::new(all, Some(b"cubic"))
    }

    /// Of the values of the line.
    fn names() -> impl Iterator<Item = &'static str> {
        LINE.iter().flat_map(|(_, key, form, _)| match form {
            ValueForm::With(other) | ValueForm::MillisWith(other) => vec![*key, *other],
            _ => vec![*key],
        })
    }

    #[test]
    fn every_name_is_a_value() {
        for name in names() {
            assert!(INFO_FIELDS.iter().any(|field| field.name == name), "{name}");
        }
        for (name, ..) in &LINE {
            assert!(INFO_WORDS.contains(name), "{name} is not in the legend");
        }
        let shown: Vec<_> = names().collect();
        let mut hidden = INFO_FIELDS.iter().filter(|field| !shown.contains(&field.name));
        assert_eq!((hidden.next().map(|field| field.name), hidden.next()), (Some("max_pacing_rate"), None));
    }

    #[test]
    fn a_line() {
        let mut out = Vec::new();
        let values = [
            ("rtt_us", 1040),
            ("rttvar_us", 5),
            ("rto_us", 204_000),
            ("bytes_sent", 0),
            ("pacing_rate", 1000),
            ("retrans_out", 0),
            ("retransmits", 3),
            ("dsack_dups", 2),
            ("reordering", 3),
            ("rcv_ooopack", 0),
            ("rcv_wnd", 65_536),
        ];
        line(&mut out, &info(&values));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\t cubic rto:204 rtt:1.04/0.005 pacing_rate:8000 retrans:0/3 dsack_dups:2 rcv_wnd:65536\n"
        );
        let mut out = Vec::new();
        line(&mut out, &info(&[("reordering", 300), ("rcv_ooopack", 5), ("dsack_dups", 0)]));
        assert_eq!(String::from_utf8(out).unwrap(), "\t cubic reordering:300 rcv_ooopack:5\n");
    }

    #[test]
    fn an_object() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        json(&mut object, Some(&info(&[("rtt_us", 7)])));
        object.end();
        let mut object = Object::begin(&mut out);
        json(&mut object, None);
        object.end();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("{\"info\":{\"congestion\":\"cubic\",\"rtt_us\":7,\"rttvar_us\":null,"), "{text}");
        assert!(text.ends_with("\"rcv_ooopack\":null}}\n{\"info\":null}\n"), "{text}");
    }
}
