//! What the committed kernel objects were built from: `netstat-ebpf/prebuilt/sources.sha256`.
//!
//! The file is in the format of sha256sum(1), one line per source, sorted:
//!
//! - every file of `netstat-ebpf/src`, and `netstat-ebpf/Cargo.toml`;
//! - `Cargo.toml#profile`: the release profile and the bpf profile that inherits from it;
//! - `Cargo.lock#netstat-ebpf`: name, version and checksum of every package the objects are linked from;
//! - `netstat-ebpf/prebuilt/*.o`: the objects themselves, so that neither is committed without the other.
//!
//! A first comment line names the compilers; they are no part of the comparison.

use crate::sh;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A committed object.
pub struct Object {
    /// The bin target of netstat-ebpf.
    pub bin: &'static str,
    /// The architecture it is for, as Rust names it; `None` where it is the same for all. Programs of kprobes read registers by name.
    pub arch: Option<&'static str>,
    /// The file, from the top of the workspace.
    pub path: &'static str,
}

/// The committed objects: the tracer for each architecture, the iterators behind large tables, and those that close sockets.
pub const OBJECTS: [Object; 4] = [
    Object { bin: "netstat-ebpf", arch: Some("x86_64"), path: "netstat-ebpf/prebuilt/netstat-ebpf.x86_64.o" },
    Object { bin: "netstat-ebpf", arch: Some("aarch64"), path: "netstat-ebpf/prebuilt/netstat-ebpf.aarch64.o" },
    Object { bin: "netstat-iter", arch: None, path: "netstat-ebpf/prebuilt/netstat-iter.o" },
    Object { bin: "netstat-kill", arch: None, path: "netstat-ebpf/prebuilt/netstat-kill.o" },
];
/// The committed digests, from the top of the workspace.
pub const DIGESTS: &str = "netstat-ebpf/prebuilt/sources.sha256";

/// Lower-case hexadecimal digest by name of source.
type Digests = BTreeMap<String, String>;

/// Fails, naming what differs, unless the committed objects and the sources are those the digests were taken of.
pub fn check() -> Result<()> {
    let text = fs::read_to_string(sh::root().join(DIGESTS))
        .with_context(|| format!("cannot read {DIGESTS}; `cargo xtask ebpf` writes it"))?;
    let changes = differences(&parse(&text)?, &current(sh::root())?);
    if !changes.is_empty() {
        bail!(
            "the committed kernel objects are not built from these sources; run `cargo xtask ebpf`: {}",
            changes.join(", ")
        );
    }
    Ok(())
}

/// The `# built by` line of the committed digests, without its mark.
pub fn built_by() -> Result<String> {
    let text = fs::read_to_string(sh::root().join(DIGESTS)).with_context(|| format!("cannot read {DIGESTS}"))?;
    Ok(text.lines().find_map(|line| line.strip_prefix("# built by ")).unwrap_or_default().to_owned())
}

/// Writes the digests of the sources and of the objects as they are now.
pub fn write(built_by: &str) -> Result<()> {
    let mut text = format!("# built by {built_by}\n");
    for (name, hex) in current(sh::root())? {
        text.push_str(&format!("{hex}  {name}\n"));
    }
    fs::write(sh::root().join(DIGESTS), text).with_context(|| format!("cannot write {DIGESTS}"))
}

fn current(root: &Path) -> Result<Digests> {
    let mut digests = Digests::new();
    let mut add = |name: &str, bytes: &[u8]| {
        let hex = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        digests.insert(name.to_owned(), hex);
    };
    let mut files = vec!["netstat-ebpf/Cargo.toml".to_owned()];
    files.extend(OBJECTS.map(|object| object.path.to_owned()));
    files_below(root, "netstat-ebpf/src", &mut files)?;
    for name in &files {
        add(name, &fs::read(root.join(name)).with_context(|| format!("cannot read {name}"))?);
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    add("Cargo.toml#profile", profiles(&manifest)?.as_bytes());
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    add("Cargo.lock#netstat-ebpf", locked_packages(&lock)?.as_bytes());
    Ok(digests)
}

fn files_below(root: &Path, dir: &str, files: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(root.join(dir)).with_context(|| format!("cannot list {dir}"))? {
        let entry = entry?;
        let name = format!("{dir}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            files_below(root, &name, files)?;
        } else {
            files.push(name);
        }
    }
    Ok(())
}

/// The two profiles that decide how the objects are compiled, without their comments.
fn profiles(manifest: &str) -> Result<String> {
    let manifest: toml::Table = manifest.parse().context("cannot parse Cargo.toml")?;
    let mut text = String::new();
    for name in ["release", "bpf"] {
        let profile = manifest.get("profile").and_then(|profiles| profiles.get(name));
        text.push_str(&format!("{name} {}\n", profile.with_context(|| format!("Cargo.toml has no profile {name}"))?));
    }
    Ok(text)
}

/// One line per package below netstat-ebpf in the lock file.
fn locked_packages(lock: &str) -> Result<String> {
    let lock: toml::Table = lock.parse().context("cannot parse Cargo.lock")?;
    let packages = lock.get("package").and_then(|list| list.as_array()).context("Cargo.lock has no packages")?;
    let text =
        |package: &toml::Value, key: &str| package.get(key).and_then(|value| value.as_str()).unwrap_or("").to_owned();
    let mut wanted = vec!["netstat-ebpf".to_owned()];
    let mut lines = BTreeSet::new();
    while let Some(wish) = wanted.pop() {
        // A dependency reads `name`, or `name version` where two versions are locked.
        let (name, version) = wish.split_once(' ').unwrap_or((&wish, ""));
        for package in packages.iter().filter(|package| text(package, "name") == name) {
            if !version.is_empty() && text(package, "version") != version {
                continue;
            }
            let line = format!("{name} {} {}\n", text(package, "version"), text(package, "checksum"));
            if lines.insert(line) {
                let below = package.get("dependencies").and_then(|list| list.as_array());
                wanted.extend(below.into_iter().flatten().filter_map(|name| name.as_str()).map(str::to_owned));
            }
        }
    }
    Ok(lines.into_iter().collect())
}

fn parse(text: &str) -> Result<Digests> {
    let mut digests = Digests::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (hex, name) = line.split_once("  ").with_context(|| format!("{DIGESTS}: cannot read line `{line}`"))?;
        digests.insert(name.to_owned(), hex.to_owned());
    }
    Ok(digests)
}

fn differences(committed: &Digests, current: &Digests) -> Vec<String> {
    let names: BTreeSet<_> = committed.keys().chain(current.keys()).collect();
    let word = |name: &String| match (committed.get(name), current.get(name)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(_), Some(_)) => Some(format!("{name} changed")),
        (Some(_), None) => Some(format!("{name} is gone")),
        _ => Some(format!("{name} is new")),
    };
    names.into_iter().filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_a_new_and_a_lost_source_are_named() {
        let committed = parse("# built by x\naa  a.rs\nbb  b.rs\ncc  c.rs\n").unwrap();
        let current = parse("aa  a.rs\nb0  b.rs\ndd  d.rs\n").unwrap();
        assert_eq!(differences(&committed, &current), ["b.rs changed", "c.rs is gone", "d.rs is new"]);
    }

    #[test]
    fn only_packages_below_the_object_count() {
        let lock = "
            [[package]]
            name = \"netstat-ebpf\"
            version = \"0.1.0\"
            dependencies = [\"aya-ebpf\", \"syn 2.0.0\"]
            [[package]]
            name = \"aya-ebpf\"
            version = \"0.2.1\"
            checksum = \"ab\"
            dependencies = [\"syn 2.0.0\"]
            [[package]]
            name = \"syn\"
            version = \"1.0.0\"
            [[package]]
            name = \"syn\"
            version = \"2.0.0\"
            [[package]]
            name = \"tokio\"
            version = \"1.0.0\"
        ";
        assert_eq!(locked_packages(lock).unwrap(), "aya-ebpf 0.2.1 ab\nnetstat-ebpf 0.1.0 \nsyn 2.0.0 \n");
    }

    #[test]
    fn comments_in_a_profile_do_not_count() {
        let one = profiles("[profile.release]\nlto = true\n[profile.bpf]\n# why\ndebug = 2\n").unwrap();
        let two = profiles("[profile.bpf]\ndebug = 2\n[profile.release]\nlto = true # why\n").unwrap();
        assert_eq!(one, two);
        assert!(profiles("[profile.release]\n").is_err());
    }
}
