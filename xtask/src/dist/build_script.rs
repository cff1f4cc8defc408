//! What `netstat-user/build.rs` says to cargo: it is built and run alone, as cargo would.

use crate::sh;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The lines that it prints for this environment, in a folder that has this change log.
fn said(test: &str, changes: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let work: PathBuf = sh::root().join("target/tmp").join(test);
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).unwrap();
    fs::write(work.join("CHANGELOG.md"), changes).unwrap();
    let script = work.join("build-script");
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "-o"]).arg(&script);
    sh::run(rustc.arg(sh::root().join("netstat-user/build.rs"))).unwrap();
    let mut run = Command::new(&script);
    run.current_dir(&work).env_remove("SOURCE_DATE_EPOCH").env("CARGO_PKG_VERSION", "1.2.3").envs(environment.to_vec());
    let said = sh::output(&mut run).unwrap();
    fs::remove_dir_all(&work).unwrap();
    said.lines().map(str::to_owned).collect()
}

#[test]
fn where_the_c_library_is_musl_it_says_what_to_do() {
    let environment = [("CARGO_CFG_TARGET_ENV", "musl"), ("CARGO_CFG_TARGET_ARCH", "x86_64")];
    let errors: Vec<_> =
        said("musl", "", &environment).into_iter().filter(|line| line.starts_with("cargo::error=")).collect();
    assert!(
        matches!(&errors[..], [one] if one.contains("x86_64-unknown-linux-gnu") && one.contains("container")),
        "{errors:?}"
    );
    assert!(!said("gnu", "", &[("CARGO_CFG_TARGET_ENV", "gnu")]).iter().any(|line| line.starts_with("cargo::error=")));
}

#[test]
fn manual_pages_have_the_date_of_the_release_or_of_what_is_built() {
    let date = |changes: &str, epoch: &str| {
        let lines = said(&format!("date-{epoch}"), changes, &[("SOURCE_DATE_EPOCH", epoch)]);
        let date = lines.iter().find_map(|line| line.strip_prefix("cargo::rustc-env=NETSTAT_USER_DATE="));
        date.unwrap().to_owned()
    };
    for (epoch, day) in [
        ("0", "1970-01-01"),
        ("951782399", "2000-02-28"),
        ("951782400", "2000-02-29"),
        ("951868800", "2000-03-01"),
        ("1735689599", "2024-12-31"),
        ("4107542400", "2100-03-01"),
    ] {
        assert_eq!(date("## [Unreleased]\n\n## [1.2.2] - 2020-01-01\n", epoch), day);
    }
    assert_eq!(date("## [1.2.3] - 2027-03-04\n\n- x\n", "1"), "2027-03-04");
}
