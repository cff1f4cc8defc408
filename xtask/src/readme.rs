//! `cargo xtask readme`: writes the samples of README, docs/ and the pages of help anew, as the program prints them today.

use crate::sh;
use anyhow::{Result, bail};
use std::process::ExitCode;

pub fn run(args: &[String]) -> Result<ExitCode> {
    if !args.is_empty() {
        bail!("readme takes no arguments");
    }
    if !sh::is_root() {
        bail!("the samples are printed in namespaces with real sockets, which takes root");
    }
    sh::run(sh::cargo().args(["build", "--package", "netstat-user"]))?;
    let mut write = sh::cargo();
    write.env("NETSTAT_DOCUMENTS", "write").env("NETSTAT_USER_BIN", sh::root().join("target/debug/netstat-user"));
    sh::run(write.args(["test", "--package", "netstat-tests", "--test", "documents", "--", "samples::"]))?;
    Ok(ExitCode::SUCCESS)
}
