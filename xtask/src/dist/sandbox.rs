//! A system of its own for a test that installs something: what is written to this one's folders is gone when the test ends.

use crate::sh;
use std::process::Command;

/// The folders that may be written to; systemd seems to run, and does not answer.
const FOLDERS: &str = "set -e
mount -t tmpfs none /run
mkdir -p /run/layers /run/systemd/system
for folder in etc usr var opt; do
    mkdir /run/layers/$folder /run/layers/$folder.work
    mount -t overlay none -o lowerdir=/$folder,upperdir=/run/layers/$folder,workdir=/run/layers/$folder.work /$folder
done
rm -f /etc/sysusers.d/netstat-user.conf /etc/tmpfiles.d/netstat-user.conf /etc/default/netstat-user
set +e
# all: every file in them, and the accounts.
all() { find /etc /var/lib /opt /usr/local \\( -name '*-' -o -name '.pwd.lock' -o -path '/var/lib/rpm*' \\) -prune -o -print | sort; getent passwd; getent group; }
same() { diff <(echo \"$1\") <(all) || { echo 'FAILED: it is not as before'; exit 1; }; }
check() { \"$@\" || { echo \"FAILED: $*\"; exit 1; }; }
not() { ! \"$@\"; }
said() { printf '%s' \"$1\" | grep -qF -e \"$2\" || { echo \"FAILED: '$2' is not in: $1\"; exit 1; }; }
lines() { [ \"$(printf '%s\\n' \"$1\" | grep -vc '^netstat-user: for completions')\" = \"$2\" ] || { echo \"FAILED: not $2 lines: $1\"; exit 1; }; }
";

/// Runs a script in one, with these arguments; only root may.
///
/// # Panics
/// A check of the script fails.
pub fn run(script: &str, args: &[&str]) {
    if !sh::is_root() {
        println!("skipped: not root");
        return;
    }
    let mut run = Command::new("unshare");
    run.args(["--mount", "--pid", "--fork", "--kill-child", "bash", "-c", &format!("{FOLDERS}{script}"), "sh"]);
    let out = run.args(args).env("LC_ALL", "C.UTF-8").output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
}
