//! The routing tables of the families beside Internet: AX.25, NET/ROM, ROSE and X.25.

use crate::proc::{packet_routes as reader, whole};
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::stdio::Written;
use crate::view::packet_routes as view;

/// AX.25; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn ax25(asked: &AskedFor<'_>, round: &mut Round) -> Written<u8> {
    let Some(table) = asked.read(round, "net/ax25_route", "/proc/net/ax25_route")? else {
        return asked.not_configured(round, "AX.25 not configured in this system.\n");
    };
    let json = asked.options.json;
    let out = round.bytes();
    if !json {
        view::ax25_heading(out, &asked.lang);
    }
    reader::ax25(&table).for_each(|route| if json { view::ax25_json(out, &route) } else { view::ax25(out, &route) });
    Ok(0)
}

/// NET/ROM; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn netrom(asked: &AskedFor<'_>, round: &mut Round) -> Written<u8> {
    let nodes = asked.read(round, "net/nr_nodes", "/proc/net/nr_nodes")?;
    let neighbours = asked.read(round, "net/nr_neigh", "/proc/net/nr_neigh")?;
    let (Some(nodes), Some(neighbours)) = (nodes, neighbours) else {
        return asked.not_configured(round, "NET/ROM not configured in this system.\n");
    };
    let json = asked.options.json;
    let out = round.bytes();
    if !json {
        view::netrom_heading(out, &asked.lang);
    }
    for route in reader::netrom(&nodes, &neighbours) {
        if json { view::netrom_json(out, &route) } else { view::netrom(out, &route) }
    }
    Ok(0)
}

/// ROSE; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn rose(asked: &AskedFor<'_>, round: &mut Round) -> Written<u8> {
    let nodes = asked.read(round, "net/rose_nodes", "/proc/net/rose_nodes")?;
    let neighbours = match nodes {
        Some(_) => asked.read(round, "net/rose_neigh", "/proc/net/rose_neigh")?,
        None => None,
    };
    let (Some(nodes), Some(neighbours)) = (nodes, neighbours) else {
        round.say(asked.lang.text("ROSE not configured in this system.\n"))?;
        return Ok(1);
    };
    let json = asked.options.json;
    let out = round.bytes();
    if !json {
        view::rose_heading(out, &asked.lang);
    }
    for route in reader::rose(&nodes, &neighbours) {
        if json { view::rose_json(out, &route) } else { view::rose(out, &route) }
    }
    Ok(0)
}

/// X.25; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn x25(asked: &AskedFor<'_>, round: &mut Round) -> Written<u8> {
    // The second is where it was once.
    let read = |file: &str| whole(&asked.proc.join(file));
    let Ok(table) = read("net/x25/route").or_else(|_| read("net/x25_routes")) else {
        return asked.not_configured(round, "X.25 not configured in this system.\n");
    };
    let json = asked.options.json;
    let out = round.bytes();
    if !json {
        view::x25_heading(out);
    }
    reader::x25(&table).for_each(|route| if json { view::x25_json(out, &route) } else { view::x25(out, &route) });
    Ok(0)
}
