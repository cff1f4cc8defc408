//! What is checked of packages: the one that is published, and those it depends on.

use crate::{digest, sh};
use anyhow::{Result, bail};

/// The crate that is published holds the kernel objects: they lie in another folder, and links bring them in.
pub fn published() -> Result<()> {
    let mut package = sh::cargo();
    package.args(["package", "--list", "--quiet", "--offline", "--allow-dirty", "--package", "netstat-user"]);
    let files = sh::output(&mut package)?;
    for object in &digest::OBJECTS {
        let name = object.path.rsplit('/').next().unwrap_or_default();
        if !files.lines().any(|file| file == format!("objects/{name}")) {
            bail!("cargo package leaves out {name}: link it below netstat-user/objects");
        }
    }
    Ok(())
}

/// Licences, doubled and wild dependencies, and where packages come from. Asks no network.
pub fn deny() -> Result<()> {
    if sh::which("cargo-deny").is_none() {
        eprintln!(
            "check: skipped: licences and sources of the dependencies: `cargo install --locked cargo-deny` brings what reads them"
        );
        return Ok(());
    }
    let config = sh::root().join("xtask/deny.toml");
    let mut deny = sh::cargo();
    deny.args(["deny", "--offline", "--log-level", "error", "--config"]).arg(config);
    sh::run(deny.args(["check", "licenses", "bans", "sources"]))
}
