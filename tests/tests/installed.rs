//! The program as a package installs it: under netstat's name, with its completions, and saying what it is.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

use netstat_tests::programs::netstat_user;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder of this test's own, with a link to the program under this name.
fn folder(test: &str, name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("netstat-installed-{test}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    symlink(netstat_user(), folder.join(name)).expect("a link");
    folder
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_link_named_netstat_speaks_as_netstat() {
    let folder = folder("link", "netstat");
    let netstat = |args: &[&str]| {
        let mut command = Command::new(folder.join("netstat"));
        command.arg0("netstat").args(args).output().expect("the link runs")
    };
    let wrong = netstat(&["-k"]);
    assert_eq!(wrong.status.code(), Some(3));
    assert!(text(&wrong).starts_with("netstat: invalid option -- 'k'\n"), "{}", text(&wrong));
    // netstat ignores operands; a verb is one.
    let operand = netstat(&["events", "-tln"]);
    assert!(text(&operand).contains("Active Internet connections (only servers)\n"), "{}", text(&operand));
    assert_eq!(operand.status.code(), Some(0));
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn the_version_names_the_build() {
    let output = Command::new(netstat_user()).arg("--version").output().expect("it runs");
    let text = text(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("netstat-user "), "{text}");
    assert!(lines[2].starts_with("commit ") && lines[2].contains(", for "), "{text}");
    assert!(lines[3].starts_with("kernel object sha256:"), "{text}");
}

/// What a shell says, or `None` where it is not installed.
fn shell(shell: &str, args: &[&str], folder: &std::path::Path) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", folder.display());
    let output = Command::new(shell).args(args).env("PATH", path).env("HOME", folder).output();
    match output {
        Ok(output) => Some(text(&output)),
        Err(_) => {
            println!("skipped: {shell} is not installed");
            None
        }
    }
}

#[test]
fn bash_completes_words_and_lists() {
    let folder = folder("bash", "netstat-user");
    let script = "eval \"$(netstat-user --completions bash)\"
        tab() {
            COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            _clap_complete_netstat_user netstat-user \"${COMP_WORDS[COMP_CWORD]}\"
            echo \"${COMPREPLY[@]}\"
        }
        tab netstat-user doc
        tab netstat-user --all-n
        tab netstat-user events --state ESTABLISHED,TIME
        complete -p netstat-user";
    if let Some(said) = shell("bash", &["--norc", "-c", script], &folder) {
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[..3], ["doctor", "--all-netns", "ESTABLISHED,TIME_WAIT"], "{said}");
        assert!(lines[3].contains("-F _clap_complete_netstat_user netstat-user"), "{said}");
    }
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn fish_completes_words_and_lists() {
    let folder = folder("fish", "netstat-user");
    let script = "netstat-user --completions fish | source
        complete -C 'netstat-user doc' | string split -f 1 \\t
        complete -C 'netstat-user events --proto tcp,udplite'";
    if let Some(said) = shell("fish", &["--no-config", "-c", script], &folder) {
        assert_eq!(said, "doctor\ntcp,udplite\ntcp,udplite6\n");
    }
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn zsh_completes_at_the_first_tab() {
    let folder = folder("zsh", "netstat-user");
    // As the completion system loads it: a file of its function path.
    let script = "fpath=($HOME/functions $fpath); mkdir -p $HOME/functions
        netstat-user --completions zsh > $HOME/functions/_netstat-user
        autoload -Uz compinit && compinit -u -D
        # In place of the terminal: what would be offered is printed.
        _describe() { print -l -- ${(P)${@[-1]}} }
        words=(netstat-user events --state EST) CURRENT=4
        $_comps[netstat-user]";
    if let Some(said) = shell("zsh", &["-f", "-c", script], &folder) {
        assert!(said.lines().any(|line| line == "ESTABLISHED"), "{said}");
    }
    std::fs::remove_dir_all(folder).expect("removed");
}
