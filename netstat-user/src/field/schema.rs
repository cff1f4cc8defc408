//! JSON Schema of the rows of the tables, made from the table of fields, so that it names what `--json` prints.

use super::{Column, FIELDS, FieldSpec, Kind, LISTS, RowKinds};
use std::fmt::Write;

/// The schema of one view's lines: each line is a row of one of these kinds.
pub fn of_rows(title: &str, kinds: &[(RowKinds, &str)]) -> String {
    let rows: Vec<String> = kinds.iter().map(|&(kind, name)| row(kind, name)).collect();
    whole(title, &rows)
}

/// The schema of a view whose rows are not in the table of fields: keys, each with the JSON type of its values.
pub fn of_keys(title: &str, rows: &[&[(&str, &str)]]) -> String {
    let rows = rows.iter().map(|keys| {
        let properties: Vec<String> = keys.iter().map(|(key, kind)| format!("\"{key}\": {}", of_kind(kind))).collect();
        object(title, &properties, &keys.iter().map(|(key, _)| (*key).to_owned()).collect::<Vec<_>>())
    });
    whole(title, &rows.collect::<Vec<_>>())
}

fn whole(title: &str, rows: &[String]) -> String {
    format!(
        "{{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"$id\": \"urn:netstat-user:{}:1\",\n  \"title\": {},\n  \
         \"description\": \"One line of `--json`. A later version may add fields; it does not change or remove these. What is not known is \
         null.\",\n  \"anyOf\": [\n    {}\n  ]\n}}\n",
        title.to_lowercase().replace(' ', "-"),
        quoted(title),
        rows.join(",\n    ")
    )
}

fn object(description: &str, properties: &[String], required: &[String]) -> String {
    let required: Vec<String> = required.iter().map(|name| quoted(name)).collect();
    format!(
        "{{ \"type\": \"object\", \"description\": {}, \"required\": [{}], \"properties\": {{\n      {}\n    }} }}",
        quoted(description),
        required.join(", "),
        properties.join(",\n      ")
    )
}

/// The schema of lines that have the chosen columns and no others, `counted` where they are counted by their values.
pub fn of_columns(title: &str, columns: &[Column], counted: bool) -> String {
    let mut specs: Vec<&FieldSpec> = Vec::new();
    for field in columns.iter().flat_map(|column| column.fields()) {
        if !specs.iter().any(|spec| spec.field == field) {
            specs.push(field.spec());
        }
    }
    let (mut properties, mut required) = (Vec::new(), Vec::new());
    if counted {
        properties.push(format!(
            "\"count\": {{ \"type\": \"integer\", \"minimum\": 1, \"description\": {} }}",
            quoted("how many there are of these values")
        ));
        required.push("count".to_owned());
    }
    let (more, names) = keys(&specs, |_| true);
    properties.extend(more);
    required.extend(names);
    whole(title, &[object(if counted { "a count" } else { "the chosen columns" }, &properties, &required)])
}

/// The rows of one kind: the fields they always have are required, those that `--columns` adds are not.
fn row(kind: RowKinds, description: &str) -> String {
    let specs: Vec<&FieldSpec> = FIELDS.iter().filter(|spec| spec.rows().meets(kind)).collect();
    let (properties, required) = keys(&specs, |spec| spec.always.meets(kind));
    object(description, &properties, &required)
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
        Kind::Word(_) | Kind::Text | Kind::Time | Kind::Address => "[\"string\", \"array\", \"null\"]",
        Kind::Number | Kind::Bytes | Kind::Span(_) | Kind::Port | Kind::User | Kind::Namespace => {
            "[\"number\", \"null\"]"
        }
    };
    format!("\"{name}\": {{ \"type\": {kind}, \"description\": {} }}", quoted(spec.doc))
}

/// A JSON type by a word: `text`, `number`, `texts`, or anything.
fn of_kind(kind: &str) -> &'static str {
    match kind {
        "text" => "{ \"type\": [\"string\", \"null\"] }",
        "number" => "{ \"type\": [\"number\", \"null\"] }",
        "texts" => "{ \"type\": [\"array\", \"null\"], \"items\": { \"type\": \"string\" } }",
        _ => "{}",
    }
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
