//! Finds names that several types of `netstat-user/src` share: one word stands for one thing.

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Names that several public types have by convention.
const SHARED: &[&str] = &[
    // The command line of a verb, one each.
    "Options", // What the command line asks for, and what a client of the agent asks for.
    "Request",
];

/// Names of private types, each known in one file only, that a type of another file has, too.
const LOCAL: &[&str] = &[
    "End",
    "Form",
    "Head",
    "Job",
    "Key",
    "Line",
    "Links",
    "Look",
    "Part",
    "Queue",
    "Share",
    "Stream",
    "Taken",
    "Text",
    "Transport",
    "Work",
];

/// A type that a module declares.
#[derive(Debug, PartialEq, Eq)]
struct Declared {
    name: String,
    is_public: bool,
}

/// Every name that types of several files share, as `name: file, file`.
pub fn shared(src: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    crate::layers::rust_files(src, &mut files)?;
    let mut homes: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    for file in files.iter().filter(|file| !is_test(file)) {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let home = file.strip_prefix(src)?.to_string_lossy().into_owned();
        let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{home}: cannot read as Rust: {error}"))?;
        for Declared { name, is_public } in types(tokens) {
            homes.entry(name).or_default().push((home.clone(), is_public));
        }
    }
    let several = homes.into_iter().filter(|(name, homes)| {
        let public = homes.iter().filter(|(_, is_public)| *is_public).count();
        let is_known = SHARED.contains(&name.as_str()) || public < 2 && LOCAL.contains(&name.as_str());
        homes.len() > 1 && !is_known
    });
    let files = |homes: Vec<(String, bool)>| homes.into_iter().map(|(home, _)| home).collect::<Vec<_>>().join(", ");
    Ok(several.map(|(name, homes)| format!("several types have the name {name}: {}", files(homes))).collect())
}

/// Whether a file or its folder has nothing but tests.
fn is_test(file: &Path) -> bool {
    file.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
}

/// The types that a module declares; those of its tests, of functions and of other types are left out.
fn types(tokens: TokenStream) -> Vec<Declared> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Ident(word) = token else { continue };
        let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else { continue };
        let is_public = at > 0 && is_public(&tokens[..at]);
        if *word == "mod" && *name != "tests" {
            if let Some(TokenTree::Group(body)) = tokens.get(at + 2).filter(|body| is_braced(body)) {
                found.extend(types(body.stream()));
            }
        } else if ["struct", "enum", "union", "trait", "type"].iter().any(|kind| word == kind) {
            found.push(Declared { name: name.to_string(), is_public });
        }
    }
    found
}

/// Whether these tokens end in `pub`, or `pub(…)`.
fn is_public(before: &[TokenTree]) -> bool {
    let is_pub = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Ident(word)) if *word == "pub");
    match before.last() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
            is_pub(before.len().checked_sub(2).and_then(|at| before.get(at)))
        }
        last => is_pub(last),
    }
}

fn is_braced(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_of_a_module_are_found() {
        let text = "
            pub struct A<'a> { b: &'a B }
            enum B { C }
            pub(crate) type D = u8;
            pub trait E { type Inner; }
            impl E for B { type Inner = u8; }
            mod inside { pub struct F; }
            fn f() { struct G; }
            mod tests { pub struct H; }
        ";
        let found = types(text.parse().unwrap());
        let found: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.is_public)).collect();
        assert_eq!(found, [("A", true), ("B", false), ("D", true), ("E", true), ("F", true)]);
    }
}
