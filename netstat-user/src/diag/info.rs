//! `struct tcp_info` as the kernel writes it. It grew with the kernel: what a kernel does not have yet is missing at its end.

use crate::model::{INFO_COUNT, INFO_FIELDS, InfoField, TcpInfo, TcpState};

/// Reads the structure, as long as it is; `congestion` is the name of the algorithm, with or without its NUL.
pub fn parse(bytes: &[u8], congestion: Option<&[u8]>) -> TcpInfo {
    // A listener's structure says other things at some places (`tcp_get_info`).
    let listens = bytes.first() == Some(&(TcpState::Listen as u8));
    let mut values = [None; INFO_COUNT];
    for (value, field) in values.iter_mut().zip(&INFO_FIELDS) {
        if !listens || field.of_listeners {
            *value = self::value(bytes, field);
        }
    }
    let name = congestion.map(|name| &name[..name.iter().position(|&byte| byte == 0).unwrap_or(name.len())]);
    TcpInfo::new(values, name)
}

fn value(bytes: &[u8], field: &InfoField) -> Option<u64> {
    let bytes = bytes.get(field.at..)?;
    let value = match field.size {
        1 => u64::from(*bytes.first()?),
        2 => u16::from_ne_bytes(*bytes.first_chunk()?).into(),
        4 => u32::from_ne_bytes(*bytes.first_chunk()?).into(),
        _ => u64::from_ne_bytes(*bytes.first_chunk()?),
    };
    (!field.none.contains(&value)).then_some(value)
}

/// Retransmissions of the oldest segment and probes not answered (`tcpi_retransmits`, `tcpi_probes`): the last two columns of a timer.
pub fn attempts(bytes: &[u8]) -> Option<(u8, u8)> {
    Some((*bytes.get(2)?, *bytes.get(3)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A structure in which each value is its field's place plus one.
    fn numbered() -> Vec<u8> {
        let mut bytes = vec![0; 256];
        bytes[0] = 1;
        for (at, field) in INFO_FIELDS.iter().enumerate() {
            bytes[field.at] = at as u8 + 1;
        }
        bytes
    }

    #[test]
    fn every_value_from_its_place() {
        let info = parse(&numbered(), Some(b"cubic\0\0"));
        for (at, field) in INFO_FIELDS.iter().enumerate() {
            assert_eq!(info.at(at), Some(at as u64 + 1), "{}", field.name);
        }
        assert_eq!(info.congestion(), Some(b"cubic".as_slice()));
    }

    #[test]
    fn an_older_kernel_has_less() {
        // Linux 4.9 ends after tcpi_delivery_rate.
        let info = parse(&numbered()[..168], None);
        assert!(info.get("delivery_rate").is_some());
        assert_eq!((info.get("busy_us"), info.get("bytes_sent"), info.get("snd_wnd")), (None, None, None));
        assert_eq!(parse(&[], None), TcpInfo::new([None; INFO_COUNT], None));
    }

    #[test]
    fn what_is_not_known_is_no_number() {
        let mut bytes = vec![0; 256];
        bytes[0] = 1;
        bytes[76..80].copy_from_slice(&0x7fff_ffffu32.to_ne_bytes());
        bytes[148..152].copy_from_slice(&u32::MAX.to_ne_bytes());
        bytes[104..112].copy_from_slice(&u64::MAX.to_ne_bytes());
        let info = parse(&bytes, None);
        for name in ["rtt_us", "ssthresh", "min_rtt_us", "pacing_rate", "delivery_rate", "pmtu"] {
            assert_eq!(info.get(name), None, "{name}");
        }
        assert_eq!((info.get("bytes_sent"), info.get("retransmits"), info.get("lost")), (Some(0), Some(0), Some(0)));
    }

    #[test]
    fn of_a_listener_little_is_known() {
        let mut bytes = numbered();
        bytes[0] = TcpState::Listen as u8;
        let info = parse(&bytes, Some(b"cubic"));
        let known: Vec<_> = INFO_FIELDS.iter().filter(|field| info.get(field.name).is_some()).map(|f| f.name).collect();
        assert_eq!(known, ["cwnd", "reordering", "pacing_rate", "max_pacing_rate"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, name: Vec<u8>) {
            parse(&bytes, Some(&name));
            attempts(&bytes);
        }
    }
}
