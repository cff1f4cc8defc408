//! JSON Schema, as far as `--schema` uses it: whether a line is what its schema says, and whether the schema describes all of the line.

use serde_json::Value;

/// What is wrong with a line; empty where it is as the schema says, with no key that the schema does not describe.
///
/// # Panics
/// A schema with a reference that leads nowhere.
pub fn problems(schema: &Value, line: &Value) -> Vec<String> {
    Validator { root: schema }.check(schema, line, "")
}

struct Validator<'a> {
    root: &'a Value,
}

impl Validator<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        if let Some(target) = schema["$ref"].as_str() {
            let target = self.root.pointer(target.trim_start_matches('#')).expect("the reference leads somewhere");
            return self.check(target, value, at);
        }
        for alternatives in ["anyOf", "oneOf"] {
            let Some(alternatives) = schema[alternatives].as_array() else { continue };
            let found: Vec<Vec<String>> = alternatives.iter().map(|schema| self.check(schema, value, at)).collect();
            if found.iter().any(Vec::is_empty) {
                return Vec::new();
            }
            // Of the alternative that comes nearest.
            return found.into_iter().min_by_key(Vec::len).unwrap_or_else(|| vec![format!("{at}: no alternative")]);
        }
        let mut wrong = Vec::new();
        let mut need = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{at}: {value} is not as {what} says"));
            }
        };
        if let Some(only) = schema.get("const") {
            need(only == value, "const");
        }
        if let Some(words) = schema["enum"].as_array() {
            need(words.contains(value), "enum");
        }
        match &schema["type"] {
            Value::String(kind) => need(is(value, kind), "type"),
            Value::Array(kinds) => need(kinds.iter().any(|kind| is(value, kind.as_str().unwrap())), "type"),
            _ => {}
        }
        if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64()) {
            need(number >= least, "minimum");
        }
        for (index, member) in value.as_array().into_iter().flatten().enumerate() {
            if let Some(items) = schema.get("items") {
                wrong.extend(self.check(items, member, &format!("{at}[{index}]")));
            }
        }
        if let Some(object) = value.as_object() {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !object.contains_key(name) {
                    wrong.push(format!("{at}: {name} is missing"));
                }
            }
            for (name, value) in object {
                let at = format!("{at}.{name}");
                match schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
                    None => wrong.push(format!("{at}: the schema does not have it")),
                    Some(property) => {
                        if !self.is_described(property) && !is_named_by(schema, name) {
                            wrong.push(format!("{at}: the schema does not say what it means"));
                        }
                        wrong.extend(self.check(property, value, &at));
                    }
                }
            }
        }
        wrong
    }

    /// Whether the schema says what the value means, or what its parts mean.
    fn is_described(&self, property: &Value) -> bool {
        let parts = |of: &Value| of["properties"].is_object() || of["items"]["properties"].is_object();
        property["description"].is_string() || parts(property)
    }
}

/// Whether the key is a word that the schema lists itself: it needs no description of its own.
fn is_named_by(schema: &Value, name: &str) -> bool {
    schema["properties"].get(name).is_none() && schema.get("propertyNames").is_some()
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type of JSON"),
    }
}
