//! The licences of everything that is linked into the program, in one file: each package, and each text once. The kernel programs are in it
//! too, and so is Rust's standard library.

mod rust;

use crate::sh;
use anyhow::{Context, Result, bail};
use rust::Toolchain;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Files of a package that hold its licence, by how they begin.
const NAMES: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];

/// Writes the list for this program.
///
/// # Errors
/// A package has no licence, or the program names one that is not listed.
pub fn write(path: &Path, program: &Path) -> Result<()> {
    let packages = packages()?;
    let program = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    if let Some(name) = unlisted(&program, &packages) {
        bail!("{name} is linked, and its licence is not listed");
    }
    let text = text(&packages)?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A package that the program names, and the list does not.
fn unlisted(program: &[u8], packages: &[Package]) -> Option<String> {
    let named = rust::named_in(program).into_iter().map(|(name, version)| format!("{name} {version}"));
    named.into_iter().find(|name| !packages.iter().any(|package| package.name == *name))
}

/// One package that is linked in.
struct Package {
    /// Name and version.
    name: String,
    /// The SPDX expression of its manifest.
    licence: String,
    /// File names and texts.
    files: BTreeMap<String, String>,
}

/// What the kernel programs are compiled for.
const BPF: &str = "bpfel-unknown-none";

/// What `cargo metadata` says of the packages below netstat-user, on either architecture, and below the kernel programs, which are linked
/// into it as they are; neither tests nor what only builds. And what Rust brings.
fn packages() -> Result<Vec<Package>> {
    let toolchain = Toolchain::get()?;
    let mut found = BTreeMap::new();
    let programs = super::TARGETS.map(|target| ("netstat-user", target.triple));
    for (program, triple) in programs.into_iter().chain([("netstat-ebpf", BPF)]) {
        let mut cargo = sh::cargo();
        cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", triple]);
        let metadata: Value = serde_json::from_str(&sh::output(&mut cargo)?).context("cargo metadata is no JSON")?;
        for package in linked(&metadata, program, &toolchain)? {
            found.insert(package.name.clone(), package);
        }
    }
    for package in toolchain.packages()? {
        found.entry(package.name.clone()).or_insert(package);
    }
    Ok(found.into_values().collect())
}

fn linked(metadata: &Value, program: &str, toolchain: &Toolchain) -> Result<Vec<Package>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let by_id: BTreeMap<_, _> = list(&metadata["packages"]).into_iter().map(|p| (text(&p["id"]), p)).collect();
    let nodes: BTreeMap<_, _> = list(&metadata["resolve"]["nodes"]).into_iter().map(|n| (text(&n["id"]), n)).collect();
    let program =
        by_id.values().find(|package| package["name"] == program).with_context(|| format!("there is no {program}"))?;
    let mut wanted = vec![text(&program["id"])];
    let mut seen = BTreeSet::new();
    let mut packages = Vec::new();
    while let Some(id) = wanted.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        for edge in list(&nodes.get(&id).context("a package is not resolved")?["deps"]) {
            // A dependency of no kind is linked; the others build or test.
            if list(&edge["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()) {
                wanted.push(text(&edge["pkg"]));
            }
        }
        let package = &by_id[&id];
        // Ours have no source, and licences of their own beside this file. What runs in the compiler is not linked either.
        let targets = list(&package["targets"]);
        let macros = targets.iter().any(|target| list(&target["kind"]).iter().any(|kind| kind == "proc-macro"));
        if package["source"].is_null() || macros {
            continue;
        }
        let name = format!("{} {}", text(&package["name"]), text(&package["version"]));
        let licence = text(&package["license"]);
        let manifest = text(&package["manifest_path"]);
        let mut files = files(Path::new(&manifest).parent().context("a manifest is in a folder")?)?;
        if licence.is_empty() && files.is_empty() {
            bail!("{name} names no licence");
        }
        // A package without a text has the standard one, and whom it names as its authors.
        if files.is_empty() {
            let authors: Vec<_> = list(&package["authors"]).iter().map(text).collect();
            let authors = if authors.is_empty() { "its authors".to_owned() } else { authors.join(", ") };
            let notice = format!("Copyright (c) {authors}: {}", text(&package["repository"]));
            for one in ["MIT", "Apache-2.0"].into_iter().filter(|one| licence.contains(one)) {
                files.insert(one.to_owned(), toolchain.text(one, if one == "MIT" { &notice } else { "" })?);
            }
            if files.is_empty() {
                bail!("{name} has no text of {licence}");
            }
        }
        packages.push(Package { name, licence, files });
    }
    Ok(packages)
}

fn files(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if NAMES.iter().any(|begin| name.to_uppercase().starts_with(begin)) && entry.path().is_file() {
            files.insert(name, String::from_utf8_lossy(&fs::read(entry.path())?).trim().to_owned());
        }
    }
    Ok(files)
}

fn text(packages: &[Package]) -> Result<String> {
    let mut text =
        "The packages that are linked into netstat-user, into the kernel programs in it too, with the licence of each; below, each text \
         once.\n\n"
            .to_owned();
    let mut texts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for package in packages {
        text.push_str(&format!("{}: {}\n", package.name, package.licence));
        for (file, content) in &package.files {
            texts.entry(content).or_default().push(format!("{} ({file})", package.name));
        }
    }
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|(_, one), (_, two)| one.cmp(two));
    for (content, users) in texts {
        text.push_str(&format!("\n{}\n{}\n\n{content}\n", "-".repeat(78), users.join(", ")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_and_what_builds_is_not() {
        let packages = packages().unwrap();
        let named = |name: &str| packages.iter().any(|package| package.name.starts_with(&format!("{name} ")));
        assert!(named("aya") && named("tokio") && named("libc"), "{}", packages.len());
        assert!(!named("clap_derive") && !named("proptest") && !named("netstat-user") && !named("libtest-mimic"));
        let text = text(&packages).unwrap();
        assert!(text.contains("Apache License") && text.contains("Permission is hereby granted"));
        for package in &packages {
            assert!(!package.files.is_empty(), "{} has no text", package.name);
        }
        // What is linked into the kernel programs, and what comes with every program of Rust's.
        for name in [
            "aya-ebpf",
            "aya-ebpf-bindings",
            "aya-ebpf-cty",
            "aya-log-ebpf",
            "addr2line",
            "miniz_oxide",
            "adler2",
            "gimli",
        ] {
            assert!(named(name), "{name}");
        }
        assert!(packages.iter().any(|package| package.name.starts_with("Rust's standard library 1.")));
        assert!(packages.iter().any(|package| package.name == "LLVM's libunwind"));
        assert!(text.contains("LLVM Exceptions") && text.contains("UNICODE LICENSE V3"), "texts of Rust's own part");
    }

    #[test]
    fn what_a_program_names_is_in_the_list() {
        let packages = packages().unwrap();
        // This test is a program of Rust's, too: it names what the standard library is linked with.
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        let named = rust::named_in(&own);
        assert!(named.iter().any(|(name, _)| name == "rustc-demangle"), "{named:?}");
        let of_rust = own.windows(100).filter(|text| text.starts_with(b"/rust/deps/"));
        let of_rust: Vec<u8> = of_rust.flat_map(|text| [text, b"\0"].concat()).collect();
        // What only tests are linked with is not listed.
        let listed = rust::named_in(&of_rust).into_iter().filter(|(name, _)| name != "getopts");
        for (name, version) in listed {
            assert!(packages.iter().any(|package| package.name == format!("{name} {version}")), "{name} {version}");
        }
        assert_eq!(unlisted(b"/crates/serde_core-1.0.1/src/x.rs", &packages).as_deref(), Some("serde_core 1.0.1"));
        assert_eq!(unlisted(b"at /crates/no-such-2x-1.2.3/src/lib.rs", &packages).as_deref(), Some("no-such-2x 1.2.3"));
    }
}
