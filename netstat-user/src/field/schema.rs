//! JSON Schema of what `--json` prints: of rows with fields made from the table of fields, of others from the keys that their views have.

use super::{Column, FIELDS, FieldSpec, LISTS, RowKinds, ValueKind};
use std::fmt::Write;

/// The schema of lines each of which is a row of one of these kinds; [`of_fields`], [`of_keys`] and [`of_columns`] make them.
pub fn of_lines(title: &str, rows: &[String]) -> String {
    format!(
        "{{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"$id\": \"urn:netstat-user:{}:1\",\n  \"title\": {},\n  \
         \"description\": \"One line of `--json`. A later version may add fields; it does not change or remove these. What is not known is \
         null.\",\n  \"anyOf\": [\n    {}\n  ]\n}}\n",
        title.to_lowercase().replace(' ', "-"),
        quoted(title),
        rows.join(",\n    ")
    )
}

/// The schema of the lines of `events`, and of those of whole connections: written by hand, as their keys depend on the kind of event.
pub const EVENTS: &str = include_str!("event.schema.json");

/// What the values of a key are that is no field.
#[derive(Clone, Copy, Debug)]
pub enum KeyValues {
    /// Text, or null.
    Text,
    /// One of these words, or null.
    Words(&'static [&'static str]),
    /// A number, or null.
    Number,
    /// How many there are: one at least.
    Count,
    /// A list of texts.
    Texts,
    /// An object with these keys, or null.
    Object(&'static [SchemaKey]),
    /// A list of objects with these keys.
    Objects(&'static [SchemaKey]),
}

/// A key of rows that are not in the table of fields.
#[derive(Clone, Copy, Debug)]
pub struct SchemaKey {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub values: KeyValues,
    /// What they mean, in one line.
    pub doc: &'static str,
    /// Whether every row has it.
    pub always: bool,
}

impl SchemaKey {
    /// A key that every row has.
    pub const fn new(name: &'static str, values: KeyValues, doc: &'static str) -> Self {
        Self { name, values, doc, always: true }
    }

    /// A key that not every row has.
    pub const fn sometimes(name: &'static str, values: KeyValues, doc: &'static str) -> Self {
        Self { name, values, doc, always: false }
    }

    fn property(&self) -> String {
        format!("\"{}\": {}", self.name, self.schema())
    }

    fn schema(&self) -> String {
        let one_of = |words: &[&str]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
        let kind = match self.values {
            KeyValues::Text => "\"type\": [\"string\", \"null\"]".to_owned(),
            KeyValues::Words(words) => format!("\"enum\": [{}, null]", one_of(words)),
            KeyValues::Number => "\"type\": [\"number\", \"null\"]".to_owned(),
            KeyValues::Count => "\"type\": \"integer\", \"minimum\": 1".to_owned(),
            KeyValues::Texts => "\"type\": \"array\", \"items\": { \"type\": \"string\" }".to_owned(),
            KeyValues::Object(keys) => format!("\"type\": [\"object\", \"null\"], {}", content(keys)),
            KeyValues::Objects(keys) => {
                format!("\"type\": \"array\", \"items\": {{ \"type\": \"object\", {} }}", content(keys))
            }
        };
        format!("{{ {kind}, \"description\": {} }}", quoted(self.doc))
    }
}

/// What an object with these keys has.
fn content(keys: &[SchemaKey]) -> String {
    let required: Vec<String> = keys.iter().filter(|key| key.always).map(|key| quoted(key.name)).collect();
    let properties: Vec<String> = keys.iter().map(SchemaKey::property).collect();
    format!("\"required\": [{}], \"properties\": {{ {} }}", required.join(", "), properties.join(", "))
}

/// Rows that are not in the table of fields: their keys, and what all others are that the kernel names, where there are such.
pub fn of_keys(description: &str, keys: &[SchemaKey], others: Option<SchemaKey>) -> String {
    let required: Vec<String> = keys.iter().filter(|key| key.always).map(|key| key.name.to_owned()).collect();
    let properties: Vec<String> = keys.iter().map(SchemaKey::property).collect();
    object(description, &properties, &required, others.map(|key| key.schema()))
}

fn object(description: &str, properties: &[String], required: &[String], others: Option<String>) -> String {
    let required: Vec<String> = required.iter().map(|name| quoted(name)).collect();
    format!(
        "{{ \"type\": \"object\", \"description\": {}, \"required\": [{}], \"properties\": {{\n      {}\n    }}{} }}",
        quoted(description),
        required.join(", "),
        properties.join(",\n      "),
        others.map_or_else(String::new, |others| format!(", \"additionalProperties\": {others}"))
    )
}

/// The only key of the line, with `--json`, that counts the events of all values that have no line of their own.
pub const OTHERS: SchemaKey =
    SchemaKey::new("others", KeyValues::Count, "how many there are of all values beyond the first 131072");

/// The key of a line of counts.
pub const COUNT: SchemaKey = SchemaKey::new("count", KeyValues::Count, "how many there are of these values");

/// Lines that have the columns, and beside them these keys, and no others.
pub fn of_columns(description: &str, columns: &[Column], more: &[SchemaKey]) -> String {
    let mut specs: Vec<&FieldSpec> = Vec::new();
    for field in columns.iter().flat_map(|column| column.fields()) {
        if !specs.iter().any(|spec| spec.field == field) {
            specs.push(field.spec());
        }
    }
    let mut properties: Vec<String> = more.iter().map(SchemaKey::property).collect();
    let mut required: Vec<String> = more.iter().filter(|key| key.always).map(|key| key.name.to_owned()).collect();
    let (of_fields, names) = keys(&specs, |_| true);
    properties.extend(of_fields);
    required.extend(names);
    object(description, &properties, &required, None)
}

/// The rows of one kind: the fields they always have are required, those that `--columns` adds are not.
pub fn of_fields(kind: RowKinds, description: &str) -> String {
    let specs: Vec<&FieldSpec> = FIELDS.iter().filter(|spec| spec.rows().meets(kind)).collect();
    let (properties, required) = keys(&specs, |spec| spec.always.meets(kind));
    object(description, &properties, &required, None)
}

/// The properties of an object with these fields, nested where their names are, and the names of those that it always has.
fn keys(specs: &[&FieldSpec], always: impl Fn(&FieldSpec) -> bool) -> (Vec<String>, Vec<String>) {
    let mut properties = Vec::new();
    let mut required: Vec<String> = Vec::new();
    let mut groups: Vec<(&str, Vec<&FieldSpec>)> = Vec::new();
    for &spec in specs {
        match spec.field.nested() {
            Some((group, _)) => match groups.iter_mut().find(|(name, _)| *name == group) {
                Some((_, inner)) => inner.push(spec),
                None => groups.push((group, vec![spec])),
            },
            None => {
                properties.push(property(spec.name, spec));
                if always(spec) {
                    required.push(spec.name.to_owned());
                }
            }
        }
    }
    for (group, inner) in groups {
        let names: Vec<String> =
            inner.iter().filter_map(|spec| spec.field.nested().map(|(_, name)| property(name, spec))).collect();
        let object = format!("\"properties\": {{ {} }}", names.join(", "));
        properties.push(match LISTS.contains(&group) {
            true => format!(
                "\"{group}\": {{ \"type\": [\"array\", \"null\"], \"items\": {{ \"type\": \"object\", {object} }} }}"
            ),
            false => format!("\"{group}\": {{ \"type\": [\"object\", \"null\"], {object} }}"),
        });
        if inner.iter().any(|spec| always(spec)) {
            required.push(group.to_owned());
        }
    }
    (properties, required)
}

fn property(name: &str, spec: &FieldSpec) -> String {
    let kind = match spec.kind {
        ValueKind::Word(_) | ValueKind::Text | ValueKind::Time | ValueKind::Address => {
            "[\"string\", \"array\", \"null\"]"
        }
        ValueKind::Number
        | ValueKind::Bytes
        | ValueKind::Span(_)
        | ValueKind::Port
        | ValueKind::User
        | ValueKind::Namespace => "[\"number\", \"null\"]",
    };
    format!("\"{name}\": {{ \"type\": {kind}, \"description\": {} }}", quoted(spec.doc))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                out.push('\\');
                out.push(letter);
            }
            // Writing to memory does not fail.
            letter if letter.is_control() => drop(write!(out, "\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}
