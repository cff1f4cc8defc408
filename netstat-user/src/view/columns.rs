//! Rows and events as the columns that were asked for.

mod counts;
mod help;
mod json;
mod text;

pub use counts::{CountStyle, counts};
pub use help::help;
pub use json::Shape;
pub use text::{Cells, ColumnTable, cells};

use crate::field::{Field, HasFields, Value};
use crate::model::{StateTimes, TcpState};
use std::net::IpAddr;

/// The values of some fields, kept beyond their row.
#[derive(Clone, Debug, Default)]
pub struct Kept(pub Vec<(Field, Value<'static>)>);

impl HasFields for Kept {
    fn value(&self, field: Field) -> Value<'_> {
        self.0.iter().find(|(known, _)| *known == field).map_or(Value::Null, |(_, value)| value.clone())
    }

    fn state(&self) -> Option<TcpState> {
        None
    }

    fn times(&self) -> Option<StateTimes> {
        let mut times = None::<StateTimes>;
        for (field, value) in &self.0 {
            if let (Some(state), Value::Number(ns)) = (field.state_timed(), value) {
                times.get_or_insert_default().add(state, Some(*ns));
            }
        }
        times
    }

    fn end(&self, _: bool) -> Option<(IpAddr, Option<u16>)> {
        None
    }
}
