//! `cargo xtask check`: what must hold before a change is proposed, apart from the tests.

use crate::{digest, sh};
use anyhow::{Result, bail};

pub fn run(args: &[String]) -> Result<()> {
    if !args.is_empty() {
        bail!("check takes no arguments");
    }
    digest::check()?;
    sh::run(sh::cargo().args(["fmt", "--all", "--check"]))?;
    sh::run(sh::cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    Ok(())
}
