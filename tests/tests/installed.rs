//! The program as a package installs it: under netstat's name, with its completions, and saying what it is.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

use netstat_tests::programs::netstat_user;
use netstat_tests::terminal::Terminal;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

/// A folder of this test's own, with a link to the program under this name.
fn folder(test: &str, name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("netstat-installed-{test}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    symlink(netstat_user(), folder.join(name)).expect("a link");
    std::fs::create_dir(folder.join("place")).expect("a folder");
    std::fs::write(folder.join("place/agent.sock"), "").expect("a file");
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
    let output = Command::new(shell).args(args).current_dir(folder).env("PATH", path).env("HOME", folder).output();
    match output {
        Ok(output) => Some(text(&output)),
        Err(_) => {
            println!("skipped: {shell} is not installed");
            None
        }
    }
}

/// Lines as they are typed up to Tab, and what is to be seen of them then.
const TABS: [(&str, &str); 13] = [
    ("netstat-user doc", "netstat-user doctor "),
    ("netstat-user --all-n", "netstat-user --all-netns "),
    ("netstat-user events --state ESTABLISHED,TIME", "--state ESTABLISHED,TIME_WAIT "),
    ("netstat-user -tan --state=ES", "--state=ESTABLISHED "),
    ("netstat-user kill --state est", "--state established "),
    ("netstat-user -an --proto=udp4,sct", "--proto=udp4,sctp "),
    ("netstat-user -tan --where state=SYN_S", "--where state=SYN_SENT "),
    ("netstat-user -tan --where 'state = ESTAB", "'state = ESTABLISHED' "),
    ("netstat-user -tan --where \"dst 127.0.0.1:80 or spo", "\"dst 127.0.0.1:80 or sport\" "),
    // The folder is the test's own.
    ("netstat-user --agent pla", "--agent place"),
    ("netstat-user agent --socket ./place/ag", "--socket ./place/agent.sock "),
    ("netstat-user --agent ../FOLDER/place/ag", "/place/agent.sock "),
    ("netstat-user -tan > place/ag", "> place/agent.sock "),
];

/// Types each of the lines, and Tab, in a shell that a person sits before; `begin` is typed first, and shows a prompt `ready>`.
fn tabs(shell: &str, args: &[&str], folder: &std::path::Path, begin: &str) {
    let mut terminal = Terminal::new(200).expect("a terminal");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(shell);
    command
        .args(args)
        .current_dir(folder)
        .env("PATH", path)
        .env("HOME", folder)
        .env("TERM", "dumb")
        .env_remove("BASH_COMPLETION_VERSINFO");
    command.stdin(terminal.file()).stdout(terminal.file()).stderr(terminal.file());
    let Ok(mut child) = command.spawn() else {
        println!("skipped: {shell} is not installed");
        return;
    };
    terminal.started();
    terminal.type_line(begin);
    assert!(terminal.shows("ready>", LONG), "{}", terminal.text());
    for (line, seen) in TABS {
        let line = line.replace("FOLDER", &folder.file_name().expect("a name").to_string_lossy());
        terminal.types(&format!("{line}\t"));
        assert!(terminal.shows(seen, LONG), "{shell}: {line}: {}", terminal.text());
        // Ctrl-U: away with it.
        terminal.types("\x15");
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

/// Longer than any shell takes.
const LONG: Duration = Duration::from_secs(20);

#[test]
fn bash_completes_what_is_typed() {
    let folder = folder("bash", "netstat-user");
    // The prompt is not to be seen in the line that sets it.
    let begin = "source <(netstat-user --completions bash); PS1='rea''dy>'";
    tabs("bash", &["--norc", "--noprofile", "-i"], &folder, begin);
    // As the completion system of a distribution loads it.
    let system = "/usr/share/bash-completion/bash_completion";
    if std::path::Path::new(system).exists() {
        let places = folder.join("share/bash-completion/completions");
        std::fs::create_dir_all(&places).expect("a folder");
        let script = shell("netstat-user", &["--completions", "bash"], &folder).expect("it runs");
        std::fs::write(places.join("netstat-user"), script).expect("written");
        let begin = format!("export XDG_DATA_HOME=$HOME/share; source {system}; PS1='rea''dy>'");
        tabs("bash", &["--norc", "--noprofile", "-i"], &folder, &begin);
        // Where the link named netstat is ours, once the script is there.
        symlink(netstat_user(), folder.join("netstat")).expect("a link");
        let script = "source <(netstat-user --completions bash); complete -p netstat";
        let said = shell("bash", &["-c", script], &folder).expect("it runs");
        assert!(said.contains("_netstat_user netstat"), "{said}");
        std::fs::remove_file(folder.join("netstat")).expect("removed");
        symlink("/bin/true", folder.join("netstat")).expect("a link");
        let said = shell("bash", &["-c", script], &folder).expect("it runs");
        assert!(!said.contains("_netstat_user"), "{said}");
    } else {
        println!("skipped: bash-completion is not installed");
    }
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn fish_completes_words_and_lists() {
    let folder = folder("fish", "netstat-user");
    let script = "netstat-user --completions fish | source
        complete -C 'netstat-user doc' | string split -f 1 \\t
        complete -C 'netstat-user events --proto tcp,udplite'
        complete -C 'netstat-user -tan --state=ES'
        complete -C 'netstat-user -tan --where \"state = ES'
        complete -C 'netstat-user --agent pla'
        complete -C 'netstat-user agent --socket ./place/ag'";
    if let Some(said) = shell("fish", &["--no-config", "-c", script], &folder) {
        let lists = "tcp,udplite\ntcp,udplite4\ntcp,udplite6\n";
        assert_eq!(
            said,
            format!("doctor\n{lists}--state=ESTABLISHED\nstate = ESTABLISHED\nplace/\n./place/agent.sock\n")
        );
    }
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn zsh_completes_what_is_typed() {
    let folder = folder("zsh", "netstat-user");
    std::fs::create_dir_all(folder.join("functions")).expect("a folder");
    // As the completion system loads it: a file of its function path.
    let begin = "netstat-user --completions zsh > ~/functions/_netstat-user; fpath=(~/functions $fpath); \
        autoload -Uz compinit && compinit -u -D; PS1='rea''dy>'";
    tabs("zsh", &["-f", "-i"], &folder, begin);
    std::fs::remove_dir_all(folder).expect("removed");
}
