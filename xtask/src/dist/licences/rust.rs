//! Rust's own part: the standard library is linked into every program, and with it crates and a library of LLVM's. The toolchain brings
//! the texts, and its archives name what is in it.

use super::Package;
use crate::sh;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Archives of the standard library that come from elsewhere; the others are Rust's own, or of tests and of macros.
const CRATES: [&str; 10] = [
    "addr2line",
    "adler2",
    "cfg-if",
    "gimli",
    "hashbrown",
    "libc",
    "memchr",
    "miniz_oxide",
    "object",
    "rustc-demangle",
];

/// What a Rust toolchain brings of documents.
pub struct Toolchain {
    /// Its version, as `rustc --version` prints it.
    version: String,
    /// The folder of the archives.
    library: PathBuf,
    /// The notices of all crates that are in the toolchain, the standard library's first.
    notices: String,
    /// The folder of the standard texts.
    texts: PathBuf,
}

impl Toolchain {
    /// The one that builds programs for this machine.
    ///
    /// # Errors
    /// It was installed without its notices.
    pub fn get() -> Result<Self> {
        let rustc = |args: &[&str]| sh::output(sh::plain(&mut Command::new("rustc")).args(args));
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
        let documents = sysroot.join("share/doc/rust");
        let mut notices = String::new();
        for name in ["COPYRIGHT-library.html", "COPYRIGHT.html"] {
            let path = documents.join(name);
            let text = fs::read_to_string(&path);
            notices.push_str(&text.with_context(|| format!("Rust's notices are not there: no {}", path.display()))?);
        }
        Ok(Self {
            version: rustc(&["--version"])?.trim().trim_start_matches("rustc ").to_owned(),
            library: PathBuf::from(rustc(&["--print", "target-libdir"])?.trim()),
            notices,
            texts: documents.join("licenses"),
        })
    }

    /// The standard text of a licence, below the notice that goes with it.
    ///
    /// # Errors
    /// The toolchain has no such text.
    pub fn text(&self, licence: &str, notice: &str) -> Result<String> {
        let path = self.texts.join(format!("{licence}.txt"));
        let text = fs::read_to_string(&path).with_context(|| format!("no text of {licence}: no {}", path.display()))?;
        // The text has its own line for it.
        let kept = text.lines().filter(|line| !line.contains("<year>") && !line.contains("<YEAR>"));
        let mut kept = kept.collect::<Vec<_>>().join("\n");
        // LLVM's is the only one of these.
        for (blank, word) in [
            ("<NAME OF DEVELOPMENT GROUP>", "LLVM Team"),
            ("<NAME OF INSTITUTION>", "University of Illinois at Urbana-Champaign"),
            ("<URL FOR DEVELOPMENT GROUP/INSTITUTION>", "http://llvm.org"),
        ] {
            kept = kept.replace(blank, word);
        }
        Ok(if notice.is_empty() { kept } else { format!("{notice}\n\n{}", kept.trim()) })
    }

    /// The standard library and all that comes with it.
    ///
    /// # Errors
    /// An archive, a notice or a text is missing.
    pub fn packages(&self) -> Result<Vec<Package>> {
        let rust = "Copyright (c) The Rust Project Contributors";
        let unicode = "Copyright (c) 1991-2024 Unicode, Inc.";
        let llvm = "Copyright (c) 2003-2019 by the contributors listed in LLVM's CREDITS.TXT\nCopyright (c) 2003-2019 University of \
             Illinois at Urbana-Champaign\nCopyright (c) 2009-2019 Apple Inc.";
        let package = |name: &str, licence: &str, texts: &[(&str, &str)]| -> Result<Package> {
            let files = texts.iter().map(|(id, notice)| Ok(((*id).to_owned(), self.text(id, notice)?)));
            let files = files.collect::<Result<BTreeMap<_, _>>>()?;
            Ok(Package { name: name.to_owned(), licence: licence.to_owned(), files })
        };
        let library = format!("Rust's standard library {}", self.version);
        let mut packages = vec![
            package(
                &library,
                "(MIT OR Apache-2.0) AND Unicode-3.0",
                &[("MIT", rust), ("Apache-2.0", ""), ("Unicode-3.0", unicode)],
            )?,
            package(
                &format!("compiler_builtins, of {library}"),
                "MIT AND Apache-2.0 WITH LLVM-exception AND (MIT OR Apache-2.0)",
                &[("MIT", rust), ("Apache-2.0", ""), ("LLVM-exception", llvm)],
            )?,
            package(
                "LLVM's libunwind",
                "Apache-2.0 WITH LLVM-exception AND NCSA AND MIT",
                &[("Apache-2.0", ""), ("LLVM-exception", llvm), ("NCSA", llvm), ("MIT", llvm)],
            )?,
        ];
        for name in CRATES {
            packages.push(self.of_crate(name, &self.linked(name)?)?);
        }
        Ok(packages)
    }

    /// The version of a crate that is in the archives, by the paths of its sources in them.
    fn linked(&self, name: &str) -> Result<String> {
        let archive = |file: &Path| {
            let base = file.file_name().map(|base| base.to_string_lossy().into_owned()).unwrap_or_default();
            base.starts_with(&format!("lib{}-", name.replace('-', "_"))) && base.ends_with(".rlib")
        };
        let files = fs::read_dir(&self.library).with_context(|| format!("cannot list {}", self.library.display()))?;
        let file = files.flatten().map(|entry| entry.path()).find(|path| archive(path));
        let file = file.with_context(|| format!("Rust's standard library has no {name}"))?;
        let own = named_in(&fs::read(&file)?).into_iter().find(|(known, _)| known == name);
        // Where an archive names none of its sources, the notices have the version.
        own.map(|(_, version)| version).map_or_else(
            || self.noticed(name).pop().with_context(|| format!("which {name} is linked is not known")),
            Ok,
        )
    }

    /// The versions of a crate that there are notices of, the newest last.
    fn noticed(&self, name: &str) -> Vec<String> {
        let heading = format!("<h3>📦 {name}-");
        let versions = self.notices.match_indices(&heading).filter_map(|(at, _)| {
            let version = self.notices[at + heading.len()..].split('<').next()?;
            version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
        });
        let mut versions: Vec<_> = versions.collect();
        versions.sort_by_key(|version| version.split('.').map(|n| n.parse::<u32>().unwrap_or(0)).collect::<Vec<_>>());
        versions
    }

    /// A crate's notices: those of this version, or of the nearest that there are notices of.
    fn of_crate(&self, name: &str, version: &str) -> Result<Package> {
        let known = self.noticed(name);
        let of = known.iter().find(|known| *known == version).or(known.last());
        let of = of.with_context(|| format!("Rust's notices have no {name}"))?;
        let heading = format!("<h3>📦 {name}-{of}</h3>");
        let section = self.notices.split(&heading).nth(1).context("a heading is followed by a section")?;
        let section = section.split("<h3>").next().unwrap_or_default();
        let between = |text: &str, begin: &str, end: &str| -> Option<String> {
            let rest = text.split_once(begin)?.1;
            Some(unescaped(rest.split_once(end)?.0.trim()))
        };
        let licence = between(section, "<b>License:</b>", "</p>").with_context(|| format!("{name} has no licence"))?;
        let details = section.split("<details>").skip(1);
        let files =
            details.filter_map(|one| Some((between(one, "<code>", "</code>")?, between(one, "<pre>", "</pre>")?)));
        let files: BTreeMap<_, _> = files.collect();
        if files.is_empty() {
            bail!("Rust's notices have no text for {name}");
        }
        Ok(Package { name: format!("{name} {version}"), licence, files })
    }
}

fn unescaped(text: &str) -> String {
    let entities = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&lt;", "<"), ("&gt;", ">")];
    let text = entities.into_iter().fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter));
    text.replace("&#38;", "&").replace("&amp;", "&")
}

/// The packages that a program names: the paths of their sources are in its messages of panics.
pub fn named_in(program: &[u8]) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for text in program.split(|byte| !matches!(byte, b'!'..=b'~')) {
        let text = String::from_utf8_lossy(text);
        for place in ["/rust/deps/", "/crates/", "/registry/src/"] {
            for (at, _) in text.match_indices(place) {
                let mut parts = text[at + place.len()..].split('/');
                let folder = if place == "/registry/src/" { parts.nth(1) } else { parts.next() };
                let (Some(folder), Some("src")) = (folder, parts.next()) else { continue };
                // `memchr-2.8.3`, and names with dashes and digits in them.
                let is_version = |text: &str| {
                    let behind = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
                    behind.len() < text.len() && behind.starts_with('.')
                };
                if let Some((at, _)) = folder.match_indices('-').find(|(at, _)| is_version(&folder[at + 1..])) {
                    found.insert((folder[..at].to_owned(), folder[at + 1..].to_owned()));
                }
            }
        }
    }
    found
}
