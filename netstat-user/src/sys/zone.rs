//! Local time.

use super::clock::clock_ns;
use jiff::{Timestamp, tz::TimeZone};
use rustix::fs::OFlags;
use rustix::time::ClockId;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::LazyLock;
use std::{env, fs};

/// Seconds that local time ($TZ, or /etc/localtime) is ahead of UTC, at a second since the Unix epoch; 0 where no zone is known.
pub fn local_offset(second: u64) -> i32 {
    static ZONE: LazyLock<TimeZone> = LazyLock::new(|| match env::var_os("TZ") {
        Some(zone) if !is_finite(&zone, Path::new("")) => TimeZone::UTC,
        _ => TimeZone::try_system().unwrap_or(TimeZone::UTC),
    });
    let at = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
    at.map_or(0, |at| ZONE.to_offset(at).seconds())
}

/// A time in nanoseconds since the Unix epoch as local time to the second, with its day where that is not today's.
pub fn local_time(time_ns: u64) -> String {
    let local = |time_ns: u64| {
        let second = time_ns / 1_000_000_000;
        let second = second.saturating_add_signed(local_offset(second).into());
        i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok()).unwrap_or_default()
    };
    let (time, now) = (local(time_ns), local(clock_ns(ClockId::Realtime)));
    let same = time.strftime("%F").to_string() == now.strftime("%F").to_string();
    time.strftime(if same { "%T" } else { "%F %T" }).to_string()
}

/// Where the database of zones is looked for.
const DATABASES: [&str; 4] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];

/// Bytes of the longest file that is taken for a zone; real ones have some 3,000.
const LONGEST: u64 = 1 << 20;

/// Whether a value of $TZ names no file, or one that can be read to its end: a pipe or a device never comes to it. `current` is the current folder.
fn is_finite(zone: &OsStr, current: &Path) -> bool {
    let zone = zone.as_bytes();
    let name = Path::new(OsStr::from_bytes(zone.strip_prefix(b":").unwrap_or(zone)));
    let own = env::var_os("TZDIR");
    let databases = DATABASES.iter().map(Path::new).chain(own.as_deref().map(Path::new));
    let known: Vec<bool> = databases.filter_map(|folder| is_file(&folder.join(name))).collect();
    // What the database has is that, whatever is called so in the current folder.
    known.iter().all(|&is_file| is_file) && (!known.is_empty() || is_file(&current.join(name)) != Some(false))
}

/// Whether it is a file that is short enough for a zone; `None` if there is nothing of that name. It is read: what the kernel makes up as it is read says
/// that it is a file of no length.
fn is_file(path: &Path) -> Option<bool> {
    let found = fs::metadata(path).ok()?;
    let read = || {
        // Nobody waits for what a pipe will have.
        let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
        file.take(LONGEST + 1).read_to_end(&mut Vec::new())
    };
    Some(found.is_file() && read().is_ok_and(|length| length as u64 <= LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_that_never_ends_is_none() {
        for (zone, finite) in [
            ("Europe/Berlin", true),
            (":Europe/Berlin", true),
            ("CET-1CEST,M3.5.0,M10.5.0/3", true),
            ("no such zone", true),
            ("/dev/zero", false),
            (":/dev/zero", false),
            ("../../../dev/urandom", false),
            ("/proc/self", false),
            ("/proc/self/pagemap", false),
        ] {
            assert_eq!(is_finite(OsStr::new(zone), Path::new("")), finite, "{zone}");
        }
    }

    #[test]
    fn a_folder_is_no_zone_and_hides_none() {
        let current = env::temp_dir().join(format!("netstat-zones-{}", std::process::id()));
        for zone in ["Japan", "Atlantis"] {
            fs::create_dir_all(current.join(zone)).unwrap();
        }
        let has_database = DATABASES.iter().any(|folder| Path::new(folder).join("Japan").is_file());
        assert_eq!(is_finite(OsStr::new("Japan"), &current), has_database);
        assert!(!is_finite(OsStr::new("Atlantis"), &current));
        fs::remove_dir_all(&current).unwrap();
    }
}
