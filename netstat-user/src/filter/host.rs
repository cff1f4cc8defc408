//! Hosts and ports as ss writes them: `10.0.0.0/8:443`, `[::1]:80`, `*:80`, `:ssh`, `inet6:[fe80::/64]`, `unix:/run/*`.

use crate::model::{AddressText, Network};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// What is expected instead of a text that is no host or port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A number that no port has.
    #[error("expected a port from 0 to 65535, not `{0}'")]
    PortRange(String),
    /// A number that ss takes for an octal one.
    #[error("expected a port without a zero before it, not `{0}'")]
    Octal(String),
    /// An address before the port, which ss takes for any port.
    #[error("expected a port alone, such as `:80', not `{0}': write an address with `src' or `dst'")]
    NotAlone(String),
    /// No port.
    #[error("expected a port such as `:80' or `:ssh', not `{0}'")]
    Port(String),
    /// A family whose sockets are not listed.
    #[error("expected an Internet or UNIX address: netstat lists no {0} sockets")]
    Family(&'static str),
    /// No address.
    #[error("expected an address such as `10.0.0.0/8' or `[::1]:80', not `{0}'")]
    Address(String),
    /// Numbers that ss takes for octal or hexadecimal ones.
    #[error("expected decimal numbers without zeros before them in an address, not `{0}'")]
    Digits(String),
    /// A bracket that is not closed.
    #[error("expected a `]' after the IPv6 address")]
    Bracket,
    /// What follows a bracket is no port.
    #[error("expected a port such as `:80' after the `]', not `{0}'")]
    BehindBracket(String),
}

/// What stands behind `src` and `dst`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// An Internet address and a port.
    Inet {
        /// Only sockets of this family: `inet:` is IPv4, `inet6:` is IPv6.
        v6: Option<bool>,
        /// The address.
        addr: Addresses,
        /// The port.
        port: PortPattern,
    },
    /// A UNIX domain path, with `*`, `?` and `[…]`, whatever the case of its letters.
    Unix(String),
}

/// Which addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Any.
    Any,
    /// Those that begin with these bits.
    Net(Network),
    /// Those of a host by name.
    Name(String),
}

/// Which port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortPattern {
    /// Any.
    Any,
    /// This one.
    Number(u16),
    /// That of a service by name.
    Name(String),
}

impl Network {
    /// Reads an address with or without a length; an IPv4 address may lack its last numbers, `10/8`, if it has a length.
    pub fn parse(text: &str) -> Option<Self> {
        let (addr, len) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let addr: IpAddr = match addr.parse() {
            Ok(addr) => addr,
            Err(_) => short(addr).filter(|_| len.is_some())?.into(),
        };
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        let len = match len {
            None => bits,
            Some(len) if is_decimal(len) => len.parse().ok().filter(|len| *len <= bits)?,
            Some(mask) => mask_len(mask).filter(|_| addr.is_ipv4())?,
        };
        Some(Self { addr, len })
    }

    /// The same behind `src` and `dst`, where ss also takes the first numbers of an IPv4 address alone: `127.1` is 127.1.0.0. One number alone
    /// is more often meant as a port.
    fn parse_host(text: &str) -> Option<Self> {
        let short = || short(text).filter(|_| text.contains('.')).map(|addr| Self { addr: addr.into(), len: 32 });
        Self::parse(text).or_else(short)
    }
}

/// The length that a netmask stands for, `255.255.0.0` for 16.
fn mask_len(mask: &str) -> Option<u8> {
    let mask = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    (mask.leading_ones() == mask.count_ones()).then_some(mask.leading_ones() as u8)
}

/// A number as everybody reads it: with a zero before it, the C library takes it for an octal one.
pub(super) fn is_decimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() && (text == "0" || !text.starts_with('0'))
}

/// Whether it is an IPv4 address, with or without a length, of which a part is octal or hexadecimal.
pub(super) fn is_odd(text: &str) -> bool {
    let addr = text.split('/').next().unwrap_or_default();
    is_numbers(addr) && !addr.split('.').all(is_decimal)
}

/// Whether the C library reads it as an IPv4 address in some notation (inet_aton(3)), so that no name server is asked for it.
fn is_numbers(text: &str) -> bool {
    text.split('.').all(|part| match part.strip_prefix("0x").or(part.strip_prefix("0X")) {
        Some(hex) => hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
    })
}

/// `10`, `192.168`, `10.1.2`: the rest is zero.
fn short(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        match parts.next() {
            Some(part) if is_decimal(part) => *octet = part.parse().ok()?,
            Some(_) => return None,
            None => break,
        }
    }
    parts.next().is_none().then(|| octets.into())
}

impl PortPattern {
    /// Reads a port with or without a family before it, as ss does behind `sport`: `inet6::22` is port 22 of IPv6 sockets.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse_of_family(text: &str) -> Result<(Option<bool>, Self), PatternError> {
        let (v6, port) = match text.split_once(':') {
            Some(("inet", port)) if !port.is_empty() => (Some(false), port),
            Some(("inet6", port)) if !port.is_empty() => (Some(true), port),
            _ => (None, text),
        };
        Ok((v6, Self::parse(port)?))
    }

    /// Reads a port: `:80`, `80`, `:ssh`, `*`.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.strip_prefix(':').unwrap_or(text);
        let hex = text.strip_prefix("0x").filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match text {
            "" | "*" => Ok(Self::Any),
            other if other.contains(':') => Err(PatternError::NotAlone(other.into())),
            number if hex.is_some_and(|hex| !hex.is_empty()) => {
                let port = u16::from_str_radix(hex.unwrap_or_default(), 16);
                port.map(Self::Number).map_err(|_| PatternError::PortRange(number.into()))
            }
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                if !is_decimal(number) {
                    return Err(PatternError::Octal(number.into()));
                }
                number.parse().map(Self::Number).map_err(|_| PatternError::PortRange(number.into()))
            }
            name if is_name(name)
                && name.bytes().any(|byte| byte.is_ascii_alphabetic())
                && !name.as_bytes()[0].is_ascii_digit() =>
            {
                Ok(Self::Name(name.to_owned()))
            }
            other => Err(PatternError::Port(other.into())),
        }
    }
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
}

impl HostPattern {
    /// Reads a host.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        for family in ["link", "netlink", "vsock"] {
            if text.strip_prefix(family).is_some_and(|rest| rest.starts_with(':')) {
                return Err(PatternError::Family(family));
            }
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.to_owned()));
        }
        if text.starts_with(['/', '@']) {
            return Ok(Self::Unix(text.to_owned()));
        }
        let (v6, text) = match () {
            () if text.starts_with("inet:") => (Some(false), &text[5..]),
            () if text.starts_with("inet6:") => (Some(true), &text[6..]),
            () => (None, text),
        };
        let (addr, port) = Self::split(text)?;
        let port = match port {
            Some(port) => PortPattern::parse(&format!(":{port}"))?,
            None => PortPattern::Any,
        };
        let addr = match addr {
            "" | "*" | "any" | "all" | "default" => Addresses::Any,
            addr => match Network::parse_host(addr) {
                Some(prefix) => Addresses::Net(prefix),
                None if is_odd(addr) => return Err(PatternError::Digits(addr.into())),
                None if is_name(addr) && !addr.starts_with('-') && addr.bytes().any(|b| b.is_ascii_alphabetic()) => {
                    Addresses::Name(addr.to_owned())
                }
                None => return Err(PatternError::Address(addr.into())),
            },
        };
        Ok(Self::Inet { v6, addr, port })
    }

    /// The address and the port.
    fn split(text: &str) -> Result<(&str, Option<&str>), PatternError> {
        if let Some(rest) = text.strip_prefix('[') {
            let Some((addr, port)) = rest.split_once(']') else {
                return Err(PatternError::Bracket);
            };
            return match port.strip_prefix(':') {
                Some(port) => Ok((addr, Some(port))),
                None if port.is_empty() => Ok((addr, None)),
                None => Err(PatternError::BehindBracket(port.into())),
            };
        }
        let from = text.find('/').unwrap_or(0);
        let Some(colon) = text[from..].rfind(':') else { return Ok((text, None)) };
        let (addr, port) = (&text[..from + colon], &text[from + colon + 1..]);
        // Without brackets the whole may be one IPv6 address. Where its last number may as well be a port, `::1:443', it is one, as in ss.
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && Network::parse(addr).is_some();
        let is_addr = text.matches(':').count() > 1 && Network::parse(text).is_some();
        Ok(if is_addr && !is_port { (text, None) } else { (addr, Some(port)) })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addr = AddressText(self.addr);
        match (self.addr, self.len) {
            (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128) => addr.fmt(f),
            (_, len) => write!(f, "{addr}/{len}"),
        }
    }
}

impl fmt::Display for PortPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str(":*"),
            Self::Number(number) => write!(f, ":{number}"),
            Self::Name(name) => write!(f, ":{name}"),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Inet { v6, addr, port } => {
                match v6 {
                    Some(false) => f.write_str("inet:")?,
                    Some(true) => f.write_str("inet6:")?,
                    None => {}
                }
                match addr {
                    Addresses::Any => f.write_str("*")?,
                    Addresses::Net(prefix) if prefix.addr.is_ipv6() => write!(f, "[{prefix}]")?,
                    Addresses::Net(prefix) => write!(f, "{prefix}")?,
                    Addresses::Name(name) => f.write_str(name)?,
                }
                match port {
                    PortPattern::Any => Ok(()),
                    port => write!(f, "{port}"),
                }
            }
        }
    }
}
