//! The `groups` view.

use super::route::host;
use crate::names::{Names, WantedNames};
use crate::proc::{igmp, whole};
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::stdio::Written;
use crate::view::groups;

/// Prints the multicast groups where they are wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(asked: &AskedFor<'_>, names: &mut Names, round: &mut Round) -> Written<u8> {
    if !asked.tables.groups {
        return Ok(0);
    }
    if !asked.options.json {
        groups::heading(round.bytes(), &asked.lang);
    }
    let mut listed = Vec::new();
    let mut code = 0;
    if asked.tables.v4 {
        match whole(&asked.proc.join("net/igmp")) {
            Ok(text) => take(round, &mut listed, igmp::v4(&text), "igmp")?,
            Err(_) => {
                round.say(b"netstat: no support for `AF INET (igmp)' on this system.\n")?;
                code = 1;
            }
        }
    }
    // A kernel without IPv6 has no groups of it; that is no failure, in netstat neither.
    if asked.tables.v6
        && let Ok(text) = whole(&asked.proc.join("net/igmp6"))
    {
        take(round, &mut listed, igmp::v6(&text), "igmp6")?;
    }
    if !asked.options.numeric.hosts && !asked.options.json {
        let hosts = listed.iter().map(|group| group.group).filter(|group| !group.is_unspecified()).collect();
        names.look_up(WantedNames { hosts, ..WantedNames::default() });
    }
    for group in &listed {
        if asked.options.json {
            groups::json(round.bytes(), group);
        } else {
            let name = host(asked, names, group.group);
            groups::row(round.bytes(), group, &name);
        }
    }
    Ok(code)
}

/// Adds what a file holds to `listed`, and says where it could not be read.
fn take(round: &mut Round, listed: &mut Vec<crate::model::net::Group>, read: igmp::Groups, file: &str) -> Written<()> {
    listed.extend(read.groups);
    if let Some(line) = read.bogus {
        round.say(format!("warning, got bogus {file} line {line}.\n").as_bytes())?;
    }
    Ok(())
}
