//! `install.sh` as a person runs it, of an archive whose program is a script.

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
