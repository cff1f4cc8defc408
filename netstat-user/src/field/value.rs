//! What a field is in one row.

use std::borrow::Cow;
use std::net::IpAddr;

/// The value of a field. In order, numbers and addresses go up, texts by their bytes, and what is not known comes last.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value<'a> {
    /// A number, in the unit of its field's kind.
    Number(u64),
    /// An address.
    Addr(IpAddr),
    /// A word or a text.
    Text(Cow<'a, [u8]>),
    /// As many values as there are: the processes that hold a socket, flags. An expression holds if it holds for one of them.
    List(Vec<Self>),
    /// Not known, or there is none.
    Null,
}

impl<'a> Value<'a> {
    /// A text, or null.
    pub fn text(text: Option<&'a [u8]>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(Cow::Borrowed(text)))
    }

    /// A word, or null.
    pub fn word(word: Option<&'static str>) -> Self {
        Self::text(word.map(str::as_bytes))
    }

    /// A number, or null.
    pub fn number(number: Option<impl Into<u64>>) -> Self {
        number.map_or(Self::Null, |number| Self::Number(number.into()))
    }

    /// An address, or null.
    pub fn addr(addr: Option<IpAddr>) -> Self {
        addr.map_or(Self::Null, Self::Addr)
    }

    /// A value that outlives its row.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Number(number) => Value::Number(number),
            Self::Addr(addr) => Value::Addr(addr),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::List(values) => Value::List(values.into_iter().map(Value::into_owned).collect()),
            Self::Null => Value::Null,
        }
    }
}
