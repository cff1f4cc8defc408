//! The `groups` view.

use super::route::host;
use super::session::Session;
use crate::names::WantedNames;
use crate::proc::{igmp, whole};
use crate::stdio::Written;
use crate::view::groups;

/// Prints the multicast groups where they are wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(session: &mut Session<'_>) -> Written<u8> {
    if !session.tables.groups {
        return Ok(0);
    }
    if !session.options.json {
        groups::heading(session.out.bytes(), &session.lang);
    }
    let mut listed = Vec::new();
    let mut code = 0;
    if session.tables.v4 {
        match whole(&session.proc.join("net/igmp")) {
            Ok(text) => take(session, &mut listed, igmp::v4(&text), "igmp")?,
            Err(_) => {
                session.out.note(b"netstat: no support for `AF INET (igmp)' on this system.\n")?;
                code = 1;
            }
        }
    }
    // A kernel without IPv6 has no groups of it; that is no failure, in netstat neither.
    if session.tables.v6
        && let Ok(text) = whole(&session.proc.join("net/igmp6"))
    {
        take(session, &mut listed, igmp::v6(&text), "igmp6")?;
    }
    if !session.options.numeric.hosts && !session.options.json {
        let hosts = listed.iter().map(|group| group.group).filter(|group| !group.is_unspecified()).collect();
        session.names.look_up(WantedNames { hosts, ..WantedNames::default() });
    }
    for group in &listed {
        if session.options.json {
            groups::json(session.out.bytes(), group);
        } else {
            let name = host(session, group.group);
            groups::row(session.out.bytes(), group, &name);
        }
    }
    Ok(code)
}

/// Adds what a file holds to `listed`, and says where it could not be read.
fn take(
    session: &mut Session<'_>,
    listed: &mut Vec<crate::model::net::Group>,
    read: igmp::Groups,
    file: &str,
) -> Written<()> {
    listed.extend(read.groups);
    if let Some(line) = read.bogus {
        session.out.note(format!("warning, got bogus {file} line {line}.\n").as_bytes())?;
    }
    Ok(())
}
