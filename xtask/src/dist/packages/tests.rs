//! `install.sh` as a person runs it, of an archive whose program is a script.

use super::super::sandbox;
use super::super::tree::tests::content;
use super::*;
use std::path::PathBuf;
use std::process::Output;

/// An unpacked archive in a folder of this test's own; the program is a script that ends so.
fn archive(test: &str, exit: u8) -> (PathBuf, PathBuf) {
    let work = sh::root().join("target/tmp").join(test);
    let _ = fs::remove_dir_all(&work);
    let content = content(&work.join("content"));
    let program = work.join("program");
    fs::write(&program, format!("#!/bin/sh\nexit {exit}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let archive = work.join("netstat-user-0-x86_64");
    unpacked(&program, &content, &archive).unwrap();
    (work, archive)
}

/// Where systemd does not run, whatever this system is.
fn install(archive: &Path, args: &[&str]) -> Output {
    let mut install = Command::new("unshare");
    install.args(["--mount", "sh", "-c", "mount -t tmpfs none /run && exec \"$@\"", "sh"]);
    install.arg(archive.join("install.sh")).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Everything below a folder.
fn all(folder: &Path) -> Vec<String> {
    let found = sh::output(Command::new("find").arg(folder)).unwrap();
    let mut found: Vec<_> = found.lines().map(str::to_owned).collect();
    found.sort();
    found
}

#[test]
fn the_archive_installs_and_leaves_nothing() {
    if !sh::is_root() {
        println!("skipped: not root");
        return;
    }
    let (work, archive) = archive("archive", 0);
    // One that is there, with something of its own; and one that is made.
    let there = work.join("there");
    fs::create_dir_all(there.join("share/man")).unwrap();
    fs::write(there.join("share/man/other"), "").unwrap();
    for prefix in [there, work.join("made/below")] {
        let before = all(&work);
        let word = prefix.to_string_lossy();
        for _ in 0..2 {
            let installed = install(&archive, &[&word]);
            assert!(installed.status.success(), "{}", said(&installed));
            assert!(said(&installed).contains("systemd does not run here"), "{}", said(&installed));
        }
        for file in ["bin/netstat-user", "share/man/man8/netstat-user-kill.8", "share/doc/netstat-user/docs/agent.md"] {
            assert!(prefix.join(file).is_file(), "{file}");
        }
        let removed = install(&archive, &["--uninstall", &word]);
        assert!(removed.status.success() && said(&removed).starts_with("removed "), "{}", said(&removed));
        assert_eq!(all(&work), before);
        let again = install(&archive, &["--uninstall", &word]);
        assert!(!again.status.success() && said(&again).contains("nothing of it is installed"), "{}", said(&again));
    }
    fs::remove_dir_all(&work).unwrap();
}

#[test]
fn the_archive_says_in_a_line_what_is_amiss() {
    if !sh::is_root() {
        println!("skipped: not root");
        return;
    }
    let (work, archive) = archive("amiss", 127);
    let one_line = |output: &Output, expected: &str| {
        let said = said(output);
        assert!(!output.status.success() && said.lines().count() == 1 && said.contains(expected), "{said}");
        assert!(!work.join("prefix").exists(), "{said}");
    };
    let prefix = work.join("prefix");
    let word = prefix.to_string_lossy();
    one_line(&install(&archive, &[&word]), "x86_64 with the GNU C library");
    one_line(&install(&archive, &["--nonsense"]), "[--uninstall] [PREFIX]");
    let on = |mounts: &str| {
        let mut run = Command::new("unshare");
        run.args(["--mount", "sh", "-c", &format!("{mounts} && exec \"$@\""), "sh"]);
        run.arg(archive.join("install.sh")).arg(&prefix).output().unwrap()
    };
    // A system whose C library is musl has its loader there.
    let musl = "lib=$(realpath /lib) && mount -t tmpfs none /run && mkdir /run/upper /run/work \
        && mount -t overlay none -o lowerdir=$lib,upperdir=/run/upper,workdir=/run/work $lib && touch /lib/ld-musl-x86_64.so.1";
    one_line(&on(musl), "the C library musl");
    fs::write(archive.join("bin/netstat-user"), "#!/bin/sh\n").unwrap();
    let read_only = format!("mount --bind {0} {0} && mount -o remount,bind,ro {0}", work.display());
    one_line(&on(&read_only), "cannot be written to");
    fs::remove_dir_all(&work).unwrap();
}

/// Runs a script with `$install` in a system of its own; the archive's program is a sleep(1).
fn in_a_sandbox(test: &str, script: &str) {
    let (work, archive) = archive(test, 0);
    fs::copy("/bin/sleep", archive.join("bin/netstat-user")).unwrap();
    sandbox::run(&format!("install=$1\n{script}"), &[&archive.join("install.sh").to_string_lossy()]);
    fs::remove_dir_all(&work).unwrap();
}

#[test]
fn what_this_system_cannot_do_is_a_line_and_the_rest_is_done() {
    in_a_sandbox(
        "cannot",
        r#"
        before=$(all)
        rm /usr/bin/systemd-sysusers
        text=$($install /opt/new/place 2>&1) || { echo "FAILED: $text"; exit 1; }
        said "$text" "systemd does not answer"
        lines "$text" 3
        check getent passwd netstat-user
        check grep -q '^ExecStart=/opt/new/place/bin/netstat-user agent' /etc/systemd/system/netstat-user.service
        # Another spelling of the folder is the same folder.
        check $install --uninstall /opt/./new//place/../place/
        same "$before"
        # Nothing makes users.
        for tool in useradd groupadd; do rm /usr/sbin/$tool; done
        text=$($install 2>&1) || { echo "FAILED: $text"; exit 1; }
        said "$text" "cannot be made"
        lines "$text" 4
        check $install --uninstall /usr/local/.
        same "$before"
        "#,
    );
}

#[test]
fn an_installation_that_ended_midway_is_uninstalled() {
    in_a_sandbox(
        "midway",
        r#"
        before=$(all)
        mkdir /opt/full && mount -t tmpfs -o size=40k none /opt/full
        text=$($install /opt/full 2>&1) && { echo "FAILED: a full disk is no mistake: $text"; exit 1; }
        said "$text" "No space left on device"
        said "$text" "--uninstall /opt/full takes away"
        lines "$text" 1
        check $install --uninstall /opt/full
        check test -z "$(ls -A /opt/full)"
        # Not even a list.
        head -c 100000 /dev/zero >/opt/full/rest 2>/dev/null
        text=$($install /opt/full 2>&1) && { echo "FAILED: $text"; exit 1; }
        said "$text" "cannot be written to"
        lines "$text" 1
        check test "$(ls -A /opt/full)" = rest
        umount /opt/full && rmdir /opt/full
        # Wherever it is killed.
        for moment in 01 03 05 08 12; do
            timeout -s KILL 0.$moment $install /opt/killed >/dev/null 2>&1
            if [ -e /opt/killed/share/doc/netstat-user/installed ]; then
                check $install --uninstall /opt/killed >/dev/null
                same "$before"
            else
                # Not even the list: only its folders.
                check test -z "$(find /opt/killed -type f 2>/dev/null)"
                rm -rf /opt/killed
            fi
        done
        "#,
    );
}

#[test]
fn a_program_that_runs_is_replaced() {
    in_a_sandbox(
        "busy",
        r#"
        check $install /opt/busy >/dev/null 2>&1
        /opt/busy/bin/netstat-user 60 &
        text=$($install /opt/busy 2>&1) || { echo "FAILED: $text"; exit 1; }
        check test "$(stat -c %a /opt/busy/bin/netstat-user)" = 755
        check not ls /opt/busy/bin/netstat-user.new 2>/dev/null
        "#,
    );
}

#[test]
fn a_service_is_installed_only_where_systemd_takes_its_folder_and_it_replaces_none() {
    in_a_sandbox(
        "folders",
        r#"
        unit=/etc/systemd/system/netstat-user.service
        before=$(all)
        for place in '/opt/a b' '/opt/a,b' '/opt/a&b' '/opt/a%n' '/opt/[a]' '/opt/a\b' "/opt/a'b" /tmp/netstat-user-test; do
            text=$($install "$place" 2>&1) || { echo "FAILED: $text"; exit 1; }
            said "$text" "installed $place/bin/netstat-user"
            said "$text" "is not installed"
            lines "$text" 2
            check not test -e $unit
            check test -x "$place/bin/netstat-user"
            check $install --uninstall "$place/" >/dev/null
        done
        same "$before"
        # The second one leaves the first one's service.
        check $install /opt/one >/dev/null 2>&1
        text=$($install /opt/two 2>&1) || { echo "FAILED: $text"; exit 1; }
        said "$text" "another's, and stays"
        check grep -q /opt/one/bin $unit
        check $install --uninstall /opt/two >/dev/null 2>&1
        check grep -q /opt/one/bin $unit
        check getent passwd netstat-user
        check $install --uninstall /opt/one >/dev/null 2>&1
        same "$before"
        # An administrator's own.
        echo '[Service]' >$unit
        check $install /opt/one >/dev/null 2>&1
        check $install --uninstall /opt/one >/dev/null
        check test "$(cat $unit)" = '[Service]'
        "#,
    );
}

#[test]
fn accounts_that_were_there_before_stay() {
    in_a_sandbox(
        "accounts",
        r#"
        groupadd --gid 990 netstat-user
        for members in '' nobody; do
            [ -z "$members" ] || usermod -aG netstat-user $members
            before=$(all)
            check $install /opt/one >/dev/null 2>&1
            check getent passwd netstat-user
            check $install --uninstall /opt/one >/dev/null
            same "$before"
        done
        groupdel netstat-user
        useradd --uid 1234 --user-group --shell /bin/bash netstat-user
        before=$(all)
        text=$($install /opt/one 2>&1) || { echo "FAILED: $text"; exit 1; }
        said "$text" "the user netstat-user logs in"
        check $install --uninstall /opt/one >/dev/null
        same "$before"
        "#,
    );
}

#[test]
fn words_that_it_does_not_take_are_refused_and_a_link_to_it_works() {
    in_a_sandbox(
        "words",
        r#"
        before=$(all)
        for words in '/opt/s --uninstall' '--uninstall /opt/s /opt/t' '/opt/s /opt/t' '--purge'; do
            text=$($install $words 2>&1) && { echo "FAILED: $words"; exit 1; }
            said "$text" "./install.sh [--uninstall] [PREFIX]"
            lines "$text" 1
        done
        same "$before"
        ln -s $install /usr/local/sbin/netstat-user-install
        check netstat-user-install /opt/s >/dev/null 2>&1
        check test -x /opt/s/bin/netstat-user
        "#,
    );
}

#[test]
fn a_small_container_gets_nothing_that_the_program_does_not_need() {
    let manifest = include_str!("../../../../netstat-user/Cargo.toml").parse::<toml::Table>().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    assert!(deb.get("recommends").is_none() && deb["suggests"].as_str() == Some("systemd"), "{deb}");
}
