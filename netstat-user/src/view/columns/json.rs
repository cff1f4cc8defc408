//! Columns as a JSON object: dotted ones stay nested, lists of objects stay lists.

use crate::field::{Column, Field, HasFields, LISTS, STATE_TIMES, Unit, Value, ValueKind};
use crate::model::AddressText;
use crate::view::event::timestamp;
use crate::view::json::Object;

/// The keys of the object, from the columns in their order.
#[derive(Clone, Debug)]
pub struct Shape(Vec<ObjectKey>);

#[derive(Clone, Debug)]
enum ObjectKey {
    Field(Field),
    /// A nested object, whose fields are `fields`; `whole` where the group itself was asked for, which is null where all of it is.
    Group {
        name: &'static str,
        fields: Vec<Field>,
        whole: bool,
    },
}

impl Shape {
    /// The object that has these columns. One that is asked for twice is there once.
    pub fn new(columns: &[Column]) -> Self {
        let mut keys: Vec<ObjectKey> = Vec::with_capacity(columns.len());
        for column in columns {
            for field in column.fields() {
                Self::add(&mut keys, field, matches!(column, Column::Group(_)));
            }
        }
        Self(keys)
    }

    fn add(keys: &mut Vec<ObjectKey>, field: Field, by_group: bool) {
        let Some((group, _)) = field.nested() else {
            if !keys.iter().any(|key| matches!(key, ObjectKey::Field(known) if *known == field)) {
                keys.push(ObjectKey::Field(field));
            }
            return;
        };
        let found = keys.iter_mut().find_map(|key| match key {
            ObjectKey::Group { name, fields, whole } if *name == group => Some((fields, whole)),
            _ => None,
        });
        match found {
            Some((fields, whole)) => {
                *whole |= by_group;
                if !fields.contains(&field) {
                    fields.push(field);
                }
            }
            None => keys.push(ObjectKey::Group { name: group, fields: vec![field], whole: by_group }),
        }
    }

    /// Appends one row as an object on a line of its own.
    pub fn row(&self, out: &mut Vec<u8>, row: &impl HasFields) {
        let mut object = Object::begin(out);
        self.fill(&mut object, row);
        object.end();
    }

    /// Adds the row's keys and values to an object.
    pub fn fill(&self, object: &mut Object<'_>, row: &impl HasFields) {
        for key in &self.0 {
            let value = |field| row.value(field);
            match key {
                // Whole, it has the states that the connection was in, as the line of --life.
                ObjectKey::Group { name: STATE_TIMES, whole: true, .. } => match row.times() {
                    None => object.optional(STATE_TIMES, None::<u8>),
                    Some(times) => {
                        let mut inner = object.object(STATE_TIMES);
                        times.iter().for_each(|(state, ns)| inner.optional(state.name(), ns));
                        inner.close();
                    }
                },
                ObjectKey::Field(field) => write(object, field.name(), *field, &value(*field)),
                ObjectKey::Group { name, fields, whole } => {
                    let values: Vec<(Field, Value<'_>)> = fields.iter().map(|&field| (field, value(field))).collect();
                    if LISTS.contains(name) {
                        list(object, name, &values);
                    } else if *whole && values.iter().all(|(_, value)| *value == Value::Null) {
                        object.optional(name, None::<u8>);
                    } else {
                        let mut inner = object.object(name);
                        for (field, value) in &values {
                            write(&mut inner, key_in_group(*field), *field, value);
                        }
                        inner.close();
                    }
                }
            }
        }
    }
}

fn key_in_group(field: Field) -> &'static str {
    field.nested().map_or(field.name(), |(_, name)| name)
}

/// A list of objects, one for each place of the fields' lists.
fn list(object: &mut Object<'_>, name: &str, values: &[(Field, Value<'_>)]) {
    let length = |value: &Value<'_>| match value {
        Value::List(values) => values.len(),
        Value::Null => 0,
        _ => 1,
    };
    let length = values.iter().map(|(_, value)| length(value)).max().unwrap_or(0);
    object.objects(name, 0..length, |object, at| {
        for (field, value) in values {
            let value = match value {
                Value::List(values) => values.get(at).unwrap_or(&Value::Null),
                other => other,
            };
            // How an owner is known stands there only where events recorded it.
            if *field != Field::OwnersOwner || *value != Value::Null {
                write(object, key_in_group(*field), *field, value);
            }
        }
    });
}

/// One key and its value.
fn write(object: &mut Object<'_>, key: &str, field: Field, value: &Value<'_>) {
    match (field.spec().kind, value) {
        (_, Value::Null) => object.optional(key, None::<u8>),
        (_, Value::Text(text)) => object.string(key, text),
        (_, Value::Addr(addr)) => object.string(key, AddressText(*addr).to_string().as_bytes()),
        (ValueKind::Time, Value::Number(time_ns)) => object.string(key, &timestamp(*time_ns)),
        (ValueKind::Span(Unit::Hundredths), Value::Number(number)) => {
            object.optional(key, Some(format_args!("{}.{:02}", number / 100, number % 100)));
        }
        (_, Value::Number(number)) => object.number(key, *number),
        (kind, Value::List(values)) => object.values(key, values, |out, value| match (kind, value) {
            (_, Value::Addr(addr)) => super::super::json::string(out, AddressText(*addr).to_string().as_bytes()),
            (_, Value::Text(text)) => super::super::json::string(out, text),
            (_, Value::Number(number)) => out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
            (_, Value::List(_) | Value::Null) => out.extend_from_slice(b"null"),
        }),
    }
}

#[cfg(test)]
mod tests;
