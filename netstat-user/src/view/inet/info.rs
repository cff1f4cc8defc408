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

/// The line's names, those of the values, how they are written, and whether a 0 is shown.
const LINE: [(&str, &str, ValueForm, bool); 38] = [
    ("rto", "rto_us", ValueForm::Millis, true),
    ("rtt", "rtt_us", ValueForm::MillisWith("rttvar_us"), true),
    ("ato", "ato_us", ValueForm::Millis, true),
    ("backoff", "backoff", ValueForm::Plain, false),
    ("mss", "mss", ValueForm::Plain, true),
    ("pmtu", "pmtu", ValueForm::Plain, true),
    ("rcvmss", "rcv_mss", ValueForm::Plain, true),
    ("advmss", "advmss", ValueForm::Plain, true),
    ("cwnd", "cwnd", ValueForm::Plain, true),
    ("ssthresh", "ssthresh", ValueForm::Plain, true),
    ("bytes_sent", "bytes_sent", ValueForm::Plain, false),
    ("bytes_retrans", "bytes_retrans", ValueForm::Plain, false),
    ("bytes_acked", "bytes_acked", ValueForm::Plain, false),
    ("bytes_received", "bytes_received", ValueForm::Plain, false),
    ("segs_out", "segs_out", ValueForm::Plain, false),
    ("segs_in", "segs_in", ValueForm::Plain, false),
    ("data_segs_out", "data_segs_out", ValueForm::Plain, false),
    ("data_segs_in", "data_segs_in", ValueForm::Plain, false),
    ("lastsnd", "last_send_ms", ValueForm::Plain, true),
    ("lastrcv", "last_recv_ms", ValueForm::Plain, true),
    ("lastack", "last_ack_ms", ValueForm::Plain, true),
    ("pacing_rate", "pacing_rate", ValueForm::Bits, true),
    ("delivery_rate", "delivery_rate", ValueForm::Bits, true),
    ("delivered", "delivered", ValueForm::Plain, false),
    ("busy", "busy_us", ValueForm::Millis, false),
    ("rwnd_limited", "rwnd_limited_us", ValueForm::Millis, false),
    ("sndbuf_limited", "sndbuf_limited_us", ValueForm::Millis, false),
    ("unacked", "unacked", ValueForm::Plain, false),
    ("retrans", "retrans_out", ValueForm::With("retransmits"), false),
    ("lost", "lost", ValueForm::Plain, false),
    ("sacked", "sacked", ValueForm::Plain, false),
    ("reord_seen", "reord_seen", ValueForm::Plain, false),
    ("rcv_rtt", "rcv_rtt_us", ValueForm::Millis, true),
    ("rcv_space", "rcv_space", ValueForm::Plain, true),
    ("rcv_ssthresh", "rcv_ssthresh", ValueForm::Plain, true),
    ("notsent", "bytes_not_sent", ValueForm::Plain, false),
    ("minrtt", "min_rtt_us", ValueForm::Millis, true),
    ("snd_wnd", "snd_wnd", ValueForm::Plain, false),
];

/// The line, with its newline.
pub fn line(out: &mut Vec<u8>, info: &TcpInfo) {
    out.push(b'\t');
    if let Some(name) = info.congestion() {
        out.push(b' ');
        out.extend_from_slice(&escape_word(name));
    }
    for (name, key, form, zero) in &LINE {
        let second = match form {
            ValueForm::With(other) | ValueForm::MillisWith(other) => info.get(other),
            _ => None,
        };
        let Some(value) = info.get(key).filter(|&value| value > 0 || second.is_some_and(|second| second > 0) || *zero)
        else {
            continue;
        };
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

    #[test]
    fn every_name_is_a_value() {
        let names = LINE.iter().flat_map(|(_, key, form, _)| match form {
            ValueForm::With(other) | ValueForm::MillisWith(other) => vec![*key, *other],
            _ => vec![*key],
        });
        for name in names {
            assert!(INFO_FIELDS.iter().any(|field| field.name == name), "{name}");
        }
        for (name, ..) in &LINE {
            assert!(INFO_WORDS.contains(name), "{name} is not in the legend");
        }
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
        ];
        line(&mut out, &info(&values));
        assert_eq!(String::from_utf8(out).unwrap(), "\t cubic rto:204 rtt:1.04/0.005 pacing_rate:8000 retrans:0/3\n");
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
