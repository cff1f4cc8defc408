//! What is installed where, below `/usr`: the same for every package that is no .deb.

use super::content::SHELLS;
use crate::sh;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file and where it goes, below the folder that stands for `/usr`.
pub struct File {
    pub from: PathBuf,
    pub to: String,
    pub mode: u32,
}

/// Where the documents are.
const DOCUMENTS: &str = "share/doc/netstat-user";

/// Every file but the service's options, whose place is not below `/usr`; manual pages and completions are in `content`.
pub fn files(program: &Path, content: &Path) -> Result<Vec<File>> {
    let (root, package) = (sh::root(), sh::root().join("netstat-user/package"));
    let mut files = Vec::new();
    let mut add = |from: PathBuf, to: String, mode| files.push(File { from, to, mode });
    add(program.to_owned(), "bin/netstat-user".into(), 0o755);
    add(package.join("netstat-user.service"), "lib/systemd/system/netstat-user.service".into(), 0o644);
    add(package.join("netstat-user.sysusers"), "lib/sysusers.d/netstat-user.conf".into(), 0o644);
    add(package.join("netstat-user.tmpfiles"), "lib/tmpfiles.d/netstat-user.conf".into(), 0o644);
    add(package.join("copyright"), format!("{DOCUMENTS}/copyright"), 0o644);
    add(content.join("doc/THIRD-PARTY-LICENSES.txt"), format!("{DOCUMENTS}/THIRD-PARTY-LICENSES.txt"), 0o644);
    for document in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        add(root.join(document), format!("{DOCUMENTS}/{document}"), 0o644);
    }
    for (from, to) in [(root.join("docs"), format!("{DOCUMENTS}/docs")), (content.join("man"), "share/man/man8".into())]
    {
        for file in fs::read_dir(&from).with_context(|| format!("cannot list {}", from.display()))?.flatten() {
            add(file.path(), format!("{to}/{}", file.file_name().to_string_lossy()), 0o644);
        }
    }
    let places = ["share/bash-completion/completions", "share/zsh/site-functions", "share/fish/vendor_completions.d"];
    for ((shell, file), place) in SHELLS.iter().zip(places) {
        add(content.join("completions").join(shell).join(file), format!("{place}/{file}"), 0o644);
    }
    Ok(files)
}

/// Copies them below a folder, the manual pages compressed where that is the custom.
pub fn lay(files: &[File], folder: &Path, compress: bool) -> Result<()> {
    for File { from, to, mode } in files {
        let to = folder.join(to);
        copy(from, &to, *mode)?;
        if compress && to.extension().is_some_and(|extension| extension == "8") {
            sh::run(Command::new("gzip").args(["-9", "-n", "-f"]).arg(&to))?;
        }
    }
    Ok(())
}

pub fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
        // Whoever unpacks it reads it, whatever the umask here.
        let target = sh::root().join("target");
        let ours = |folder: &&Path| folder.starts_with(&target) && *folder != target;
        for folder in parent.ancestors().take_while(ours) {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::super::content::VERBS;
    use super::*;

    /// What the program would print, as far as packages need it to be there.
    pub fn content(folder: &Path) -> PathBuf {
        let write = |name: String| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text\n").unwrap();
        };
        write("man/netstat-user.8".into());
        VERBS.into_iter().for_each(|verb| write(format!("man/netstat-user-{verb}.8")));
        SHELLS.into_iter().for_each(|(shell, file)| write(format!("completions/{shell}/{file}")));
        write("doc/THIRD-PARTY-LICENSES.txt".into());
        folder.to_owned()
    }
}
