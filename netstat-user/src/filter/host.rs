//! Hosts and ports as ss writes them: `10.0.0.0/8:443`, `[::1]:80`, `*:80`, `:ssh`, `inet6:[fe80::/64]`, `unix:/run/*`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// What is expected instead of a text that is no host or port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A number that no port has.
    #[error("expected a port from 0 to 65535, not `{0}'")]
    PortRange(String),
    /// No port.
    #[error("expected a port such as `:80' or `:ssh', not `{0}'")]
    Port(String),
    /// A family whose sockets are not listed.
    #[error("expected an Internet or UNIX address: netstat lists no {0} sockets")]
    Family(&'static str),
    /// No address.
    #[error("expected an address such as `10.0.0.0/8' or `[::1]:80', not `{0}'")]
    Address(String),
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

/// An address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address, as written.
    pub addr: IpAddr,
    /// Bits that count.
    pub len: u8,
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
            Some(len) if len.bytes().all(|byte| byte.is_ascii_digit()) => {
                len.parse().ok().filter(|len| *len <= bits)?
            }
            Some(_) => return None,
        };
        Some(Self { addr, len })
    }

    /// Whether the address is of the same family and begins with the same bits.
    pub fn has(&self, addr: IpAddr) -> bool {
        let kept = |bits: u32| u32::from(self.len).min(bits);
        match (self.addr, addr) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u32::from(own) ^ u32::from(other)).checked_shr(32 - kept(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (u128::from(own) ^ u128::from(other)).checked_shr(128 - kept(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// The same, and IPv4 in IPv6's clothes is IPv4, as in the kernel's inet_diag_bc_run().
    pub fn has_mapped(&self, addr: IpAddr) -> bool {
        match addr {
            IpAddr::V6(v6) if self.addr.is_ipv4() => v6.to_ipv4_mapped().is_some_and(|v4| self.has(v4.into())),
            addr => self.has(addr),
        }
    }
}

/// `10`, `192.168`, `10.1.2`: the rest is zero.
fn short(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        match parts.next() {
            Some(part) if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) => {
                *octet = part.parse().ok()?
            }
            Some(_) => return None,
            None => break,
        }
    }
    (parts.next().is_none() && !text.is_empty()).then(|| octets.into())
}

impl PortPattern {
    /// Reads a port: `:80`, `80`, `:ssh`, `*`, or with an (ignored) family before it, as ss does behind `sport`.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = match text.split_once(':') {
            Some(("inet" | "inet6", rest)) if !rest.is_empty() => rest,
            _ => text,
        };
        let text = text.strip_prefix(':').unwrap_or(text);
        match text {
            "" | "*" => Ok(Self::Any),
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
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

    /// Whether the port is this one; names have been looked up before.
    pub fn is(&self, port: Option<u16>) -> bool {
        match self {
            Self::Any => true,
            Self::Number(number) => port == Some(*number),
            Self::Name(_) => false,
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
            addr => match Network::parse(addr) {
                Some(prefix) => Addresses::Net(prefix),
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
        // Without brackets the whole may be one IPv6 address.
        if text.matches(':').count() > 1 && Network::parse(text).is_some() {
            return Ok((text, None));
        }
        let from = text.find('/').unwrap_or(0);
        Ok(match text[from..].rfind(':') {
            Some(colon) => (&text[..from + colon], Some(&text[from + colon + 1..])),
            None => (text, None),
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.addr, self.len) {
            (IpAddr::V4(addr), 32) => write!(f, "{addr}"),
            (IpAddr::V6(addr), 128) => write!(f, "{addr}"),
            (addr, len) => write!(f, "{addr}/{len}"),
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
