//! German locales, generated for the suites alone: the system's own locale folder stays as it is.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where glibc looks for locales; the folder of [`generate`] is mounted over it.
pub const LOCALE_DIR: &str = "/usr/lib/locale";

/// Generates `de_DE` in UTF-8 and ISO-8859-1 under `folder`, once; a later run finds them there.
///
/// # Errors
/// What is missing: localedef, or the sources of package `locales`.
pub fn generate(folder: &Path) -> Result<PathBuf, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (charmap, name) in [("UTF-8", "de_DE.utf8"), ("ISO-8859-1", "de_DE.iso88591")] {
        let target = folder.join(name);
        if target.join("LC_MESSAGES/SYS_LC_MESSAGES").is_file() {
            continue;
        }
        let output = Command::new("localedef")
            .args(["--no-archive", "-i", "de_DE", "-f", charmap])
            .arg(&target)
            .output()
            .map_err(|error| format!("localedef: {error}"))?;
        if !target.join("LC_MESSAGES/SYS_LC_MESSAGES").is_file() {
            return Err(format!("localedef {name}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    Ok(folder.to_owned())
}
