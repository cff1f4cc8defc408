//! Finds names that several types of the program and its kernel objects share: one word stands for one thing.

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Names that several types have on purpose.
///
/// `Options` is the command line of a verb, one each; the others are of the records, and the same as the host has it.
const SHARED: &[&str] = &["Options", "Doubt", "Grade"];

/// Every name that types of several files of these crates share, as `name: file, file`; each crate by its folder below `root`.
pub fn shared(root: &Path, crates: &[&str]) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for sources in crates {
        crate::layers::rust_files(&root.join(sources), &mut files)?;
    }
    let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| !is_test(file)) {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let home = file.strip_prefix(root)?.to_string_lossy().into_owned();
        let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{home}: cannot read as Rust: {error}"))?;
        for name in types(tokens) {
            homes.entry(name).or_default().push(home.clone());
        }
    }
    homes.retain(|_, homes| homes.len() > 1);
    Ok(problems(&homes, SHARED))
}

/// What is wrong with names that several types have, each with their files, where these of them are known to be shared.
fn problems(homes: &BTreeMap<String, Vec<String>>, known: &[&str]) -> Vec<String> {
    let unknown = homes.iter().filter(|(name, _)| !known.contains(&name.as_str()));
    let unknown = unknown.map(|(name, homes)| format!("several types have the name {name}: {}", homes.join(", ")));
    let stale = known.iter().filter(|name| !homes.contains_key(**name));
    let stale =
        stale.map(|name| format!("no two types have the name {name}: take it from the list in xtask/src/names.rs"));
    unknown.chain(stale).collect()
}

/// Whether a file or its folder has nothing but tests.
fn is_test(file: &Path) -> bool {
    file.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
}

/// The types that a module declares; those of its tests, of functions and of other types are left out.
fn types(tokens: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Ident(word) = token else { continue };
        let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else { continue };
        if *word == "mod" && *name != "tests" {
            if let Some(TokenTree::Group(body)) = tokens.get(at + 2).filter(|body| is_braced(body)) {
                found.extend(types(body.stream()));
            }
        } else if ["struct", "enum", "union", "trait", "type"].iter().any(|kind| word == kind) {
            found.push(name.to_string());
        }
    }
    found
}

fn is_braced(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_shared_and_that_are_no_more() {
        let homes = |name: &str| (name.to_owned(), vec!["a.rs".to_owned(), "b.rs".to_owned()]);
        let homes = BTreeMap::from([homes("A"), homes("B")]);
        assert_eq!(
            problems(&homes, &["B", "C"]),
            [
                "several types have the name A: a.rs, b.rs",
                "no two types have the name C: take it from the list in xtask/src/names.rs",
            ]
        );
    }

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
        assert_eq!(types(text.parse().unwrap()), ["A", "B", "D", "E", "F"]);
    }
}
