//! The order of rows, and of lines of counts, by `--sort`.

use crate::cli::select::SortKey;
use crate::field::{Field, Value};
use std::cmp::Ordering;

/// The order of two rows by the values of the keys; what is not known comes last, whichever way the others go.
pub fn by_keys(sort: &[(SortKey, bool)], a: &[Value<'_>], b: &[Value<'_>]) -> Ordering {
    let by_key = sort.iter().zip(a.iter().zip(b)).map(|((_, descending), (a, b))| {
        let unknown =
            |value: &Value<'_>| matches!(value, Value::Null) || matches!(value, Value::List(list) if list.is_empty());
        match (unknown(a), unknown(b)) {
            (false, false) if *descending => b.cmp(a),
            (false, false) => a.cmp(b),
            (a, b) => a.cmp(&b),
        }
    });
    by_key.fold(Ordering::Equal, Ordering::then)
}

/// Distinct values of the fields that are counted, and how many there are.
type Counted<'a> = (&'a [Value<'static>], u64);

/// The order of two lines of counts: by the keys, then most first, then by the values. `fields` are those of the values.
pub fn of_counts(sort: &[(SortKey, bool)], fields: &[Field], one: Counted<'_>, other: Counted<'_>) -> Ordering {
    let keys = |(values, count): Counted<'_>| -> Vec<Value<'static>> {
        let value = |(key, _): &(SortKey, bool)| {
            let Some(field) = key.field() else { return Value::Number(count) };
            let at = fields.iter().position(|counted| *counted == field);
            at.and_then(|at| values.get(at)).cloned().unwrap_or(Value::Null)
        };
        sort.iter().map(value).collect()
    };
    let sorted = if sort.is_empty() { Ordering::Equal } else { by_keys(sort, &keys(one), &keys(other)) };
    sorted.then_with(|| other.1.cmp(&one.1)).then_with(|| one.0.cmp(other.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unknown_comes_last_both_ways() {
        let sorted = |descending: bool| {
            let mut keys = [Value::Null, Value::Number(9), Value::List(vec![]), Value::Number(10)].map(|key| vec![key]);
            keys.sort_by(|a, b| by_keys(&[(SortKey::Field(Field::RecvQ), descending)], a, b));
            keys.map(|mut key| key.remove(0))
        };
        let (nine, ten) = (Value::Number(9), Value::Number(10));
        assert_eq!(sorted(false), [nine.clone(), ten.clone(), Value::Null, Value::List(vec![])]);
        assert_eq!(sorted(true), [ten, nine, Value::Null, Value::List(vec![])]);
    }
}
