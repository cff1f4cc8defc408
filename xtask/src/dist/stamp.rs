//! What a build is of: the commit, and its date for everything that bears one.

use crate::sh;
use anyhow::{Context, Result};
use std::process::Command;

/// A commit.
pub struct Stamp {
    /// Its name in full.
    pub commit: String,
    /// When it was made, in seconds since 1970: `SOURCE_DATE_EPOCH` of all that is built.
    pub epoch: u64,
    /// Whether the tree holds something else.
    pub changed: bool,
}

impl Stamp {
    /// The commit that is checked out.
    ///
    /// # Errors
    /// This is no git repository, or there is no git.
    pub fn get() -> Result<Self> {
        let git = |args: &[&str]| sh::output(Command::new("git").current_dir(sh::root()).args(args));
        let log = git(&["log", "-1", "--format=%H %ct"]).context("dist dates everything by the commit")?;
        let (commit, epoch) = log.trim().split_once(' ').context("git log prints no date")?;
        let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
        Ok(Self { commit: commit.to_owned(), epoch: epoch.parse()?, changed })
    }

    /// The date as RFC 2822 has it, in UTC, for Debian's changelog.
    pub fn date(&self) -> Result<String> {
        let mut date = Command::new("date");
        date.env("LC_ALL", "C").args(["--utc", "--rfc-email", "--date", &format!("@{}", self.epoch)]);
        Ok(sh::output(&mut date)?.trim().to_owned())
    }
}
