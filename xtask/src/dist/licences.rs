//! The licences of everything that is linked into the program, in one file: each package, and each text once.

use crate::sh;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Files of a package that hold its licence, by how they begin.
const NAMES: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];

/// Writes the list.
///
/// # Errors
/// A package has no licence.
pub fn write(path: &Path) -> Result<()> {
    let text = text(&packages()?)?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
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

/// What `cargo metadata` says of the packages below netstat-user, on either architecture; neither tests nor what only builds.
fn packages() -> Result<Vec<Package>> {
    let mut found = BTreeMap::new();
    for target in super::TARGETS {
        let mut cargo = sh::cargo();
        cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", target.triple]);
        let metadata: Value = serde_json::from_str(&sh::output(&mut cargo)?).context("cargo metadata is no JSON")?;
        for package in linked(&metadata)? {
            found.insert(package.name.clone(), package);
        }
    }
    Ok(found.into_values().collect())
}

fn linked(metadata: &Value) -> Result<Vec<Package>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let by_id: BTreeMap<_, _> = list(&metadata["packages"]).into_iter().map(|p| (text(&p["id"]), p)).collect();
    let nodes: BTreeMap<_, _> = list(&metadata["resolve"]["nodes"]).into_iter().map(|n| (text(&n["id"]), n)).collect();
    let program =
        by_id.values().find(|package| package["name"] == "netstat-user").context("there is no netstat-user")?;
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
        let files = files(Path::new(&manifest).parent().context("a manifest is in a folder")?)?;
        if licence.is_empty() && files.is_empty() {
            bail!("{name} names no licence");
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
        "The packages that are linked into netstat-user, with the licence of each; below, each text once.\n\n"
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
    }
}
