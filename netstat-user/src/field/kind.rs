//! What the values of fields are.

/// What a field's values are, and so how they are written in an expression and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// One of these words.
    Word(&'static [&'static str]),
    /// Text of the outside world: names, paths.
    Text,
    /// A whole number without a unit.
    Number,
    /// Bytes; literals may end in K, M, G or T, powers of 1024.
    Bytes,
    /// A span of time; literals may end in ns, us, ms, s, m, h or d, and are in the unit without.
    Span(Unit),
    /// A point in time, kept in nanoseconds since the Unix epoch, written as RFC 3339 in UTC.
    Time,
    /// An IP address; literals may have a prefix length.
    Address,
    /// A port; literals may be names of services.
    Port,
    /// A user id; literals may be names of users.
    User,
    /// A network namespace by inode number; literals may be names in /run/netns, or `self`.
    Namespace,
}

/// The unit in which a span of time is kept and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Nanos,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Kept in hundredths of a second, shown in seconds with two decimals.
    Hundredths,
}

impl Unit {
    /// Nanoseconds in one of what is kept.
    pub const fn nanos(self) -> u64 {
        match self {
            Self::Nanos => 1,
            Self::Micros => 1_000,
            Self::Millis => 1_000_000,
            Self::Hundredths => 10_000_000,
        }
    }

    /// Nanoseconds in one of what is shown, which is what a literal without a unit is in.
    pub const fn shown_nanos(self) -> u64 {
        match self {
            Self::Hundredths => 1_000_000_000,
            other => other.nanos(),
        }
    }
}

impl ValueKind {
    /// The name of the type in `--columns help`, unit included.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Word(_) => "word",
            Self::Text => "text",
            Self::Number => "number",
            Self::Bytes => "bytes",
            Self::Span(Unit::Nanos) => "time, ns",
            Self::Span(Unit::Micros) => "time, us",
            Self::Span(Unit::Millis) => "time, ms",
            Self::Span(Unit::Hundredths) => "time, s",
            Self::Time => "date and time",
            Self::Address => "address",
            Self::Port => "port",
            Self::User => "user id",
            Self::Namespace => "namespace",
        }
    }

    /// Whether values are numbers to the reader: on the right of their column, and bare in JSON.
    pub const fn is_numeric(self) -> bool {
        matches!(self, Self::Number | Self::Bytes | Self::Span(_) | Self::Port | Self::User | Self::Namespace)
    }
}
