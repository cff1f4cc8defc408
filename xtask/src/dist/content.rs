//! What packages hold beside the program: manual pages and completions, which the program itself prints, and its history.

use super::stamp::Stamp;
use super::{Target, licences};
use crate::sh;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Verbs with a manual page of their own, `netstat-user-VERB(8)`.
pub const VERBS: [&str; 4] = ["events", "agent", "doctor", "kill"];
/// Shells, and how each names a file of completions.
pub const SHELLS: [(&str, &str); 3] =
    [("bash", "netstat-user"), ("zsh", "_netstat-user"), ("fish", "netstat-user.fish")];

/// Where the manifests of the packages look for it (`netstat-user/Cargo.toml`).
pub fn folder() -> PathBuf {
    sh::root().join("target/dist-content")
}

/// The program for this machine can print it.
pub fn host(targets: &'static [Target]) -> Result<&'static Target> {
    let arch = std::env::consts::ARCH;
    targets.iter().find(|target| target.arch == arch).with_context(|| format!("there is no package for {arch}"))
}

/// Writes all of it, by a program that runs here.
///
/// # Errors
/// The program prints no manual page or completions, or the history cannot be read.
pub fn gather(program: &Path, stamp: &Stamp) -> Result<()> {
    let folder = folder();
    let _ = fs::remove_dir_all(&folder);
    for part in ["man", "completions", "doc", "deb"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let print = |args: &[&str]| sh::output(Command::new(program).args(args));
    page(&folder.join("man/netstat-user.8"), &print(&["--man"])?)?;
    for verb in VERBS {
        page(&folder.join(format!("man/netstat-user-{verb}.8")), &print(&[verb, "--man"])?)?;
    }
    for (shell, file) in SHELLS {
        // One name may stand for two shells' files: a folder for each.
        fs::create_dir_all(folder.join("completions").join(shell))?;
        fs::write(folder.join("completions").join(shell).join(file), print(&["--completions", shell])?)?;
    }
    for name in ["preinst", "postinst", "prerm", "postrm"] {
        fs::write(folder.join("deb").join(name), script(&format!("deb/{name}"))?)?;
    }
    let changes = fs::read_to_string(sh::root().join("CHANGELOG.md")).context("cannot read CHANGELOG.md")?;
    fs::write(folder.join("doc/changelog.Debian"), debian_changelog(&changes, &stamp.date()?))?;
    fs::write(folder.join("doc/changelog"), &changes)?;
    sh::run(Command::new("gzip").args(["-9", "-n", "-f"]).arg(folder.join("doc/changelog")))?;
    licences::write(&folder.join("doc/THIRD-PARTY-LICENSES.txt"), program)
}

/// A script of netstat-user/package, with what they share about the agent's account.
///
/// # Errors
/// There is none of this name.
pub fn script(name: &str) -> Result<String> {
    let read = |name: &str| {
        let path = sh::root().join("netstat-user/package").join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(read(name)?.replace("@ACCOUNTS@\n", &read("accounts.sh")?))
}

/// Writes a manual page that man(1) formats without a warning.
fn page(path: &Path, roff: &str) -> Result<()> {
    fs::write(path, roff)?;
    let mut man = Command::new("man");
    man.env("MANROFFSEQ", "").env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
    let out = man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).arg(path).output();
    let out = out.context("cannot run man")?;
    if !out.status.success() || !out.stderr.is_empty() {
        bail!("man cannot format {}: {}", path.display(), String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}

/// The newest part of CHANGELOG.md that has entries, with its heading: "Unreleased" has none right after a release.
pub fn newest(changes: &str) -> Option<(&str, &str)> {
    let parts = changes.split("\n## ").skip(1).filter_map(|part| part.split_once('\n'));
    parts.into_iter().find(|(_, entries)| entries.lines().any(|line| line.starts_with("- ")))
}

/// Debian's form of the newest version's part of CHANGELOG.md; dpkg wants a date, a maintainer and an urgency.
fn debian_changelog(changes: &str, date: &str) -> String {
    let mut entries = String::new();
    let (_, newest) = newest(changes).unwrap_or_default();
    for line in newest.lines().filter(|line| !line.starts_with('#')) {
        let (mark, words) = line.strip_prefix("- ").map_or(("   ", line), |entry| ("  *", entry));
        let mut column = if mark == "  *" { 80 } else { entries.lines().last().map_or(80, str::len) };
        let mut mark = mark;
        for word in words.split_whitespace() {
            // lintian wants at most 80 bytes in a line.
            if column + 1 + word.len() > 78 {
                if !entries.is_empty() {
                    entries.push('\n');
                }
                entries.push_str(mark);
                (column, mark) = (mark.len(), "   ");
            }
            entries.push(' ');
            entries.push_str(word);
            column += 1 + word.len();
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    format!("netstat-user ({version}-1) unstable; urgency=medium\n\n{entries}\n\n -- {MAINTAINER}  {date}\n")
}

/// As in the packages' manifests.
pub const MAINTAINER: &str = "The netstat-user authors <maintainers@netstat-user.invalid>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_becomes_debians_changelog() {
        let changes =
            "# Changes\n\nWords.\n\n## [Unreleased]\n\n### Added\n\n- One\n  more of it\n- Two\n\n## 0.0.1\n\n- Old\n";
        let text = debian_changelog(changes, "Thu, 01 Jan 1970 00:00:00 +0000");
        assert!(text.starts_with("netstat-user ("), "{text}");
        assert!(text.contains("\n\n  * One more of it\n  * Two\n\n -- The "), "{text}");
        let long = debian_changelog(&format!("\n## x\n\n- {}\n", "word ".repeat(40)), "");
        assert!(long.contains("\n    word ") && long.lines().all(|line| line.len() <= 80), "{long}");
        assert!(!text.contains("Old") && text.ends_with(" +0000\n"));
        // Right after a release.
        let released = debian_changelog("# Changes\n\n## [Unreleased]\n\n## [0.0.1] - 2026-01-01\n\n- Old\n", "");
        assert!(released.contains("\n\n  * Old\n"), "{released}");
    }

    #[test]
    fn the_version_that_is_built_has_its_part() {
        let changes = fs::read_to_string(sh::root().join("CHANGELOG.md")).unwrap();
        let heading = concat!("\n## [", env!("CARGO_PKG_VERSION"), "] - ");
        let part = changes.split_once(heading).unwrap_or_else(|| panic!("CHANGELOG.md has no{heading}")).1;
        assert!(
            newest(&format!("\n## {part}")).is_some_and(|(_, entries)| entries.contains("\n- ")),
            "it has no entries"
        );
        assert!(changes.contains("\n## [Unreleased]\n"));
    }
}
