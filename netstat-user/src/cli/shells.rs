//! The shells that words are completed for, and the script of each.

use clap_complete::env::Shells;

/// Names the shell that asks.
pub const VARIABLE: &str = "NETSTAT_USER_COMPLETE";

/// The shells there are scripts for.
pub const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// zsh loads the script as a function once a word is to be completed, and calls that: it has to complete the word, too.
const FIRST_TAB: &str = "
if [[ ${funcstack[1]} = _netstat-user ]]; then
    _clap_dynamic_completer_netstat_user \"$@\"
fi
";

/// A shell's script; `None` for a shell that is none of [`SHELLS`].
pub fn script(shell: &str) -> Option<String> {
    let shells = Shells::builtins();
    let completer = shells.completer(shell).filter(|_| SHELLS.contains(&shell))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "netstat-user", "netstat-user", "netstat-user", &mut script).ok()?;
    if shell == "zsh" {
        script.extend(FIRST_TAB.bytes());
    }
    String::from_utf8(script).ok()
}
