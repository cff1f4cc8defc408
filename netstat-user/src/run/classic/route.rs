//! The `route` view: the routing tables of the families asked for, in the order asked for.

use super::packet_routes;
use crate::cli::classic::Family;
use crate::model::net::{RTF_CACHE, Route4, Route6};
use crate::model::reason;
use crate::model::visible::escape;
use crate::names::{Names, WantedNames};
use crate::proc::route;
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::stdio::Written;
use crate::view::route::{RouteColumns, Row, heading4, heading4_cache, heading6, json4, json6, row4, row6};
use crate::view::text::numeric;
use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Prints the routing tables where they are wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(asked: &AskedFor<'_>, names: &mut Names, round: &mut Round) -> Written<u8> {
    let families = match asked.options.families[..] {
        [] => &[Family::Inet][..],
        ref families => families,
    };
    for &family in families {
        let code = match family {
            Family::Inet => inet(asked, names, round)?,
            Family::Inet6 => inet6(asked, names, round)?,
            other => others(asked, round, other)?,
        };
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

/// IPv4: the table, the cache, or one after the other.
fn inet(asked: &AskedFor<'_>, names: &mut Names, round: &mut Round) -> Written<u8> {
    const MISSING: &str = "INET (IPv4) not configured in this system.\n";
    let columns = RouteColumns::new(asked.options.extend);
    if wants_table(asked) {
        let Some(text) = asked.read(round, "net/route", "/proc/net/route")? else {
            return asked.not_configured(round, MISSING);
        };
        if !asked.options.json {
            heading4(round.bytes(), &asked.lang, columns);
        }
        // Before the first route of a namespace the file lacks even its heading; netstat calls that a failure.
        if text.is_empty() {
            return Ok(1);
        }
        let routes = route::v4(&text);
        if asked.options.json {
            routes.iter().for_each(|route| json4(round.bytes(), route));
        } else {
            table4(asked, names, round, &routes, columns);
        }
    }
    if asked.options.cache {
        if asked.read(round, "net/rt_cache", "/proc/net/rt_cache")?.is_none() {
            return asked.not_configured(round, MISSING);
        }
        if !asked.options.json {
            heading4_cache(round.bytes(), &asked.lang, columns);
        }
    }
    Ok(0)
}

fn table4(asked: &AskedFor<'_>, names: &mut Names, round: &mut Round, routes: &[Route4], columns: RouteColumns) {
    if names_wanted(asked) {
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
        names.look_up(wanted);
    }
    for route in routes {
        let destination = match question4(route).filter(|_| names_wanted(asked)) {
            Some(Name::Host(address)) => host(asked, names, address),
            Some(Name::Network(address)) => match names.labels().networks.get(&address) {
                Some(name) => escape(name).into_owned(),
                None => numeric(address.into()).into_bytes(),
            },
            None if names_wanted(asked) && route.mask.is_unspecified() && route.destination.is_unspecified() => {
                b"default".to_vec()
            }
            None => numeric(route.destination.into()).into_bytes(),
        };
        let gateway = match route.gateway.is_unspecified() {
            true => b"0.0.0.0".to_vec(),
            false => host(asked, names, route.gateway.into()),
        };
        row4(round.bytes(), &Row { route, destination: &destination, gateway: &gateway }, columns);
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
fn inet6(asked: &AskedFor<'_>, names: &mut Names, round: &mut Round) -> Written<u8> {
    let Some(text) = asked.read(round, "net/ipv6_route", "/proc/net/ipv6_route")? else {
        return asked.not_configured(round, "INET6 (IPv6) not configured in this system.\n");
    };
    let (cached, routes): (Vec<_>, Vec<_>) =
        route::v6(&text).into_iter().partition(|route| route.flags & RTF_CACHE != 0);
    for (cache, wanted, routes) in [(false, wants_table(asked), routes), (true, asked.options.cache, cached)] {
        if !wanted {
            continue;
        }
        if asked.options.json {
            routes.iter().for_each(|route| json6(round.bytes(), route));
        } else {
            heading6(round.bytes(), &asked.lang, cache);
            table6(asked, names, round, &routes);
        }
    }
    Ok(0)
}

fn table6(asked: &AskedFor<'_>, names: &mut Names, round: &mut Round, routes: &[Route6]) {
    if names_wanted(asked) {
        let addresses = routes.iter().flat_map(|route| [route.destination, route.next_hop]);
        let hosts = addresses.filter(|address| !address.is_unspecified()).map(IpAddr::V6).collect();
        names.look_up(WantedNames { hosts, ..WantedNames::default() });
    }
    for route in routes {
        let (destination, gateway) =
            (host(asked, names, route.destination.into()), host(asked, names, route.next_hop.into()));
        row6(round.bytes(), &Row { route, destination: &destination, gateway: &gateway });
    }
}

/// The name of an address where names are wanted and it has one, else its number. The IPv6 wildcard among names has
/// brackets.
pub(super) fn host(asked: &AskedFor<'_>, names: &Names, address: IpAddr) -> Vec<u8> {
    if names_wanted(asked) && address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        return b"[::]".to_vec();
    }
    let name = names.labels().hosts.get(&address).filter(|_| names_wanted(asked));
    name.map_or_else(|| Cow::Owned(numeric(address).into_bytes()), |name| escape(name)).into_owned()
}

const fn names_wanted(asked: &AskedFor<'_>) -> bool {
    !asked.options.numeric.hosts
}

const fn wants_table(asked: &AskedFor<'_>) -> bool {
    asked.options.fib || !asked.options.cache
}

/// The families beside Internet: their routes, or why there are none.
fn others(asked: &AskedFor<'_>, round: &mut Round, family: Family) -> Written<u8> {
    match family {
        Family::Ipx => {
            // No kernel since 4.18 has them.
            round.say(absent().as_bytes())?;
            let text = "IPX routing not in file %s or %s found.\n";
            let text = asked.lang.fill(text, &[&"/proc/net/ipx/route", &"/proc/net/ipx_route"]);
            round.bytes().extend_from_slice(&text);
            Ok(1)
        }
        Family::Ax25 => packet_routes::ax25(asked, round),
        Family::Netrom => packet_routes::netrom(asked, round),
        Family::X25 => packet_routes::x25(asked, round),
        Family::Rose => packet_routes::rose(asked, round),
        Family::Ddp => {
            let text = asked.lang.text("DDP (AppleTalk) not configured on this system.\n");
            let text = [b"Error opening /proc/net/atalk_route: ", absent().as_bytes(), text].concat();
            round.say(&text)?;
            Ok(1)
        }
        Family::Bluetooth => {
            let text = asked.lang.fill("Address family `%s' not supported.\n", &[&family.name()]);
            round.say(&text)?;
            Ok(3)
        }
        _ => {
            let text = asked.lang.fill("No routing for address family `%s'.\n", &[&family.name()]);
            round.say(&text)?;
            Ok(3)
        }
    }
}

/// What the C library says of a file that is not there, in the user's language.
fn absent() -> String {
    format!("{}\n", reason(&io::Error::from_raw_os_error(2)))
}
