//! The programs a suite runs: ours, and the installed netstat it is measured against.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The built `netstat-user`: `$NETSTAT_USER_BIN`, else the newest of the release and debug builds in the target folder this
/// test was built into.
///
/// # Panics
/// When it was not built: `cargo test` of this package alone does not build it.
pub fn netstat_user() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if let Some(path) = std::env::var_os("NETSTAT_USER_BIN") {
            let path = PathBuf::from(path);
            assert!(path.is_file(), "NETSTAT_USER_BIN={} is not a file", path.display());
            return path;
        }
        let exe = std::env::current_exe().expect("the path of this test");
        // target/PROFILE/deps/test-HASH; the profile folder itself comes along for targets given with --target.
        let profile = exe.ancestors().nth(2).expect("a test lives in target/PROFILE/deps");
        let target = profile.parent().unwrap_or(profile);
        [profile.to_owned(), target.join("release"), target.join("debug")]
            .into_iter()
            .map(|dir| dir.join("netstat-user"))
            .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
            .max()
            .map(|(_, path)| path)
            .unwrap_or_else(|| {
                panic!("netstat-user is not built in {}: run `cargo build -p netstat-user`", target.display())
            })
    })
}

/// Whether a program is a debug build, by the folder that cargo puts it into.
pub fn is_debug(program: &Path) -> bool {
    program.parent().and_then(Path::file_name).is_some_and(|folder| folder == "debug")
}

/// The installed netstat of net-tools (`$NETSTAT_REFERENCE_BIN`, else `/usr/bin/netstat`), `None` where there is none.
pub fn net_tools() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let given = std::env::var_os("NETSTAT_REFERENCE_BIN").map(PathBuf::from);
            [given, Some("/usr/bin/netstat".into()), Some("/bin/netstat".into())]
                .into_iter()
                .flatten()
                .find(|path| path.is_file())
        })
        .as_deref()
}

/// Whether there is this program of util-linux. Busybox has some of these names that do less, and know no `--version`.
pub fn has_util(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok_and(|version| version.status.success())
}
