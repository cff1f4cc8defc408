//! Checks of the service's unit by systemd's own tools.

use crate::sh;
use std::fs;
use std::process::Command;

/// The exposure that `systemd-analyze security` finds, in tenths: docs and README state it.
const EXPOSURE: u32 = 32;

/// The unit as it is installed, but for the program, which is not installed here.
fn unit() -> std::path::PathBuf {
    let unit = fs::read_to_string(sh::root().join("netstat-user/package/netstat-user.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/netstat-user agent "), "{unit}");
    let folder = std::env::temp_dir().join(format!("netstat-user-unit-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("netstat-user.service");
    fs::write(&path, unit.replace("/usr/bin/netstat-user", "/bin/true")).unwrap();
    path
}

/// Standard output and error, and whether it succeeded; `None` where systemd is not installed.
fn analyze(args: &[&str], unit: &std::path::Path) -> Option<(String, bool)> {
    sh::which("systemd-analyze")?;
    let out = Command::new("systemd-analyze").env("LC_ALL", "C.UTF-8").args(args).arg(unit).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    Some((text, out.status.success()))
}

#[test]
fn systemd_verifies_the_unit_and_finds_the_stated_exposure() {
    let unit = unit();
    let Some((text, fine)) = analyze(&["verify", "--man=no"], &unit) else {
        println!("skipped: systemd-analyze is not installed");
        return;
    };
    // It passes over what it does not understand, with a message.
    assert!(fine && text.is_empty(), "{text}");
    let (text, fine) = analyze(&["security", "--offline=true", &format!("--threshold={EXPOSURE}")], &unit).unwrap();
    let line = text.lines().find(|line| line.contains("Overall exposure level")).unwrap_or(&text);
    println!("{line}");
    assert!(fine, "{text}");
    let level = line.rsplit(": ").next().and_then(|level| level.split(' ').next()).unwrap();
    let stated = format!("{}.{}", EXPOSURE / 10, EXPOSURE % 10);
    assert_eq!(level, stated, "the exposure is another one now: state it here and in the documentation");
    fs::remove_dir_all(unit.parent().unwrap()).unwrap();
}
