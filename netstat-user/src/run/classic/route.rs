//! The `route` view: the routing tables of the families asked for, in the order asked for.

use super::packet_routes;
use super::session::{Session, reason};
use crate::cli::classic::Family;
use crate::model::net::{RTF_CACHE, Route4, Route6};
use crate::names::WantedNames;
use crate::proc::route;
use crate::stdio::Written;
use crate::view::route::{RouteColumns, Row, heading4, heading4_cache, heading6, json4, json6, row4, row6};
use crate::view::text::{escape, numeric};
use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Prints the routing tables where they are wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(session: &mut Session<'_>) -> Written<u8> {
    let families = match session.options.families[..] {
        [] => &[Family::Inet][..],
        ref families => families,
    };
    for &family in families {
        let code = match family {
            Family::Inet => inet(session)?,
            Family::Inet6 => inet6(session)?,
            other => others(session, other)?,
        };
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

/// IPv4: the table, the cache, or one after the other.
fn inet(session: &mut Session<'_>) -> Written<u8> {
    const MISSING: &str = "INET (IPv4) not configured in this system.\n";
    let columns = RouteColumns::new(session.options.extend);
    if wants_table(session) {
        let Some(text) = session.read("net/route", "/proc/net/route")? else {
            return Ok(session.not_configured(MISSING));
        };
        if !session.options.json {
            heading4(session.out.bytes(), &session.lang, columns);
        }
        // Before the first route of a namespace the file lacks even its heading; netstat calls that a failure.
        if text.is_empty() {
            return Ok(1);
        }
        let routes = route::v4(&text);
        if session.options.json {
            routes.iter().for_each(|route| json4(session.out.bytes(), route));
        } else {
            table4(session, &routes, columns);
        }
    }
    if session.options.cache {
        if session.read("net/rt_cache", "/proc/net/rt_cache")?.is_none() {
            return Ok(session.not_configured(MISSING));
        }
        if !session.options.json {
            heading4_cache(session.out.bytes(), &session.lang, columns);
        }
    }
    Ok(0)
}

fn table4(session: &mut Session<'_>, routes: &[Route4], columns: RouteColumns) {
    if names_wanted(session) {
        let mut wanted = WantedNames::default();
        for route in routes {
            match question4(route) {
                Some(Name::Host(address)) => drop(wanted.hosts.insert(address)),
                Some(Name::Network(address)) => drop(wanted.networks.insert(address)),
                None => {}
            }
            if !route.gateway.is_unspecified() {
                wanted.hosts.insert(route.gateway.into());
            }
        }
        session.names.look_up(wanted);
    }
    for route in routes {
        let destination = match question4(route).filter(|_| names_wanted(session)) {
            Some(Name::Host(address)) => host(session, address),
            Some(Name::Network(address)) => match session.names.labels().networks.get(&address) {
                Some(name) => escape(name).into_owned(),
                None => numeric(address.into()).into_bytes(),
            },
            None if names_wanted(session) && route.mask.is_unspecified() && route.destination.is_unspecified() => {
                b"default".to_vec()
            }
            None => numeric(route.destination.into()).into_bytes(),
        };
        let gateway = match route.gateway.is_unspecified() {
            true => b"0.0.0.0".to_vec(),
            false => host(session, route.gateway.into()),
        };
        row4(session.out.bytes(), &Row { route, destination: &destination, gateway: &gateway }, columns);
    }
}

/// What a destination's name is asked of.
enum Name {
    Host(IpAddr),
    Network(Ipv4Addr),
}

/// The question that names a destination; `0.0.0.0` has no name.
fn question4(route: &Route4) -> Option<Name> {
    if route.destination.is_unspecified() {
        return None;
    }
    Some(if route.is_host() { Name::Host(route.destination.into()) } else { Name::Network(route.destination) })
}

/// IPv6: the table, the cache, or one after the other; both are in one file.
fn inet6(session: &mut Session<'_>) -> Written<u8> {
    let Some(text) = session.read("net/ipv6_route", "/proc/net/ipv6_route")? else {
        return Ok(session.not_configured("INET6 (IPv6) not configured in this system.\n"));
    };
    let (cached, routes): (Vec<_>, Vec<_>) =
        route::v6(&text).into_iter().partition(|route| route.flags & RTF_CACHE != 0);
    for (cache, wanted, routes) in [(false, wants_table(session), routes), (true, session.options.cache, cached)] {
        if !wanted {
            continue;
        }
        if session.options.json {
            routes.iter().for_each(|route| json6(session.out.bytes(), route));
        } else {
            heading6(session.out.bytes(), &session.lang, cache);
            table6(session, &routes);
        }
    }
    Ok(0)
}

fn table6(session: &mut Session<'_>, routes: &[Route6]) {
    if names_wanted(session) {
        let addresses = routes.iter().flat_map(|route| [route.destination, route.next_hop]);
        let hosts = addresses.filter(|address| !address.is_unspecified()).map(IpAddr::V6).collect();
        session.names.look_up(WantedNames { hosts, ..WantedNames::default() });
    }
    for route in routes {
        let (destination, gateway) = (host(session, route.destination.into()), host(session, route.next_hop.into()));
        row6(session.out.bytes(), &Row { route, destination: &destination, gateway: &gateway });
    }
}

/// The name of an address where names are wanted and it has one, else its number. The IPv6 wildcard among names has
/// brackets.
pub(super) fn host(session: &Session<'_>, address: IpAddr) -> Vec<u8> {
    if names_wanted(session) && address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        return b"[::]".to_vec();
    }
    let name = session.names.labels().hosts.get(&address).filter(|_| names_wanted(session));
    name.map_or_else(|| Cow::Owned(numeric(address).into_bytes()), |name| escape(name)).into_owned()
}

const fn names_wanted(session: &Session<'_>) -> bool {
    !session.options.numeric.hosts
}

const fn wants_table(session: &Session<'_>) -> bool {
    session.options.fib || !session.options.cache
}

/// The families beside Internet: their routes, or why there are none.
fn others(session: &mut Session<'_>, family: Family) -> Written<u8> {
    match family {
        Family::Ipx => {
            // No kernel since 4.18 has them.
            session.out.note(absent().as_bytes())?;
            let text = "IPX routing not in file %s or %s found.\n";
            let text = session.lang.fill(text, &[&"/proc/net/ipx/route", &"/proc/net/ipx_route"]);
            session.out.bytes().extend_from_slice(&text);
            Ok(1)
        }
        Family::Ax25 => packet_routes::ax25(session),
        Family::Netrom => packet_routes::netrom(session),
        Family::X25 => packet_routes::x25(session),
        Family::Rose => packet_routes::rose(session),
        Family::Ddp => {
            let text = session.lang.text("DDP (AppleTalk) not configured on this system.\n");
            let text = [b"Error opening /proc/net/atalk_route: ", absent().as_bytes(), text].concat();
            session.out.note(&text)?;
            Ok(1)
        }
        Family::Bluetooth => {
            let text = session.lang.fill("Address family `%s' not supported.\n", &[&family.name()]);
            session.out.note(&text)?;
            Ok(3)
        }
        _ => {
            let text = session.lang.fill("No routing for address family `%s'.\n", &[&family.name()]);
            session.out.note(&text)?;
            Ok(3)
        }
    }
}

/// What the C library says of a file that is not there, in the user's language.
fn absent() -> String {
    format!("{}\n", reason(&io::Error::from_raw_os_error(2)))
}
