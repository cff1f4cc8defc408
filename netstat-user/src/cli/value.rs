//! Values of options: how each kind is written, for every verb.

use crate::filter::{bytes, nanoseconds};
use crate::model::EventName;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Why a value is none of its kind: what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a number, or one out of range.
    #[error("write a whole number from {}{}", .0.start(), if *.0.end() == u64::MAX { " on".into() } else { format!(" to {}", .0.end()) })]
    Number(RangeInclusive<u64>),
    /// Not the mode of a file.
    #[error("write an octal mode such as 660")]
    Mode,
    /// No event has this name.
    #[error("write one of {known}", known = EventName::ALL.map(EventName::name).join(" "))]
    Event,
    /// Not a time.
    #[error("write a time above zero such as 500ms, 1.5s, 5m, 2h or 1d")]
    Duration,
    /// More than any clock of the kernel counts to.
    #[error("write a time of at most 36500d (a hundred years)")]
    TooLong,
    /// Not a size.
    #[error("write a size from 4K to 1G, such as 16M")]
    Size,
}

/// A reader of whole numbers of a range.
pub fn number<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, ValueError> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| ValueError::Number(range.clone()))
    }
}

/// The mode of a file, in octal.
pub fn mode(text: &str) -> Result<u32, ValueError> {
    u32::from_str_radix(text, 8).ok().filter(|&mode| mode <= 0o777).ok_or(ValueError::Mode)
}

/// The name of an event.
pub fn event(name: &str) -> Result<EventName, ValueError> {
    let found = EventName::ALL.into_iter().find(|event| event.name().eq_ignore_ascii_case(name));
    found.ok_or(ValueError::Event)
}

/// Longest time that can be asked for, in nanoseconds.
const LONGEST: u128 = 86_400 * 36_500 * 1_000_000_000;

/// A time above zero: a number, which may have decimals, with `ns`, `us`, `ms`, `s`, `m`, `h`, `d`, or with none for seconds.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    let is_number = text.bytes().next().is_some_and(|first| first.is_ascii_digit());
    match nanoseconds(text, 1_000_000_000) {
        Some(0) => Err(ValueError::Duration),
        Some(nanos @ ..=LONGEST) => Ok(Duration::from_nanos_u128(nanos)),
        Some(_) => Err(ValueError::TooLong),
        // Digits that no number of the machine holds.
        None if is_number && text.bytes().take_while(u8::is_ascii_digit).count() > 20 => Err(ValueError::TooLong),
        None => Err(ValueError::Duration),
    }
}

/// The largest buffer that can be asked for.
pub const LARGEST_BUFFER: u32 = 1 << 30;

/// A power of two of bytes: a number as expressions have it, with K, M or G, rounded up.
pub fn size(text: &str) -> Result<u32, ValueError> {
    match bytes(text) {
        Some(bytes) if (4_096..=LARGEST_BUFFER.into()).contains(&bytes) => Ok(bytes.next_power_of_two() as u32),
        _ => Err(ValueError::Size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_decimals() {
        for (text, expected) in [
            ("500ms", Duration::from_millis(500)),
            ("1.5s", Duration::from_millis(1500)),
            ("7", Duration::from_secs(7)),
            ("2m", Duration::from_secs(120)),
            ("0.5h", Duration::from_secs(1800)),
            ("1d", Duration::from_secs(86_400)),
            ("1h30m", Duration::from_secs(5400)),
            ("36500d", Duration::from_secs(86_400 * 36_500)),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "s", "soon", "5x", "-1", ".", "1.2.3", "1e400", "0ms"] {
            assert_eq!(duration(text), Err(ValueError::Duration), "{text}");
        }
        for text in ["36501d", "10000000000000000000", "99999999999999999999s", "999999999999999999999999s"] {
            assert_eq!(duration(text), Err(ValueError::TooLong), "{text}");
        }
    }

    #[test]
    fn what_is_expected_is_named() {
        let said = |error: ValueError| error.to_string();
        assert_eq!(said(number::<u32>(1..=9)("x").unwrap_err()), "write a whole number from 1 to 9");
        assert_eq!(said(number::<u64>(1..=u64::MAX)("0").unwrap_err()), "write a whole number from 1 on");
        assert_eq!(said(event("opened").unwrap_err()), "write one of open state close");
        assert_eq!((mode("0660"), mode("8")), (Ok(0o660), Err(ValueError::Mode)));
        assert_eq!((size("5000"), size("2G")), (Ok(8192), Err(ValueError::Size)));
        assert_eq!((size("1.5M"), size("0.0005T"), size("8KiB")), (Ok(2 << 20), Ok(1 << 30), Ok(8192)));
    }
}
