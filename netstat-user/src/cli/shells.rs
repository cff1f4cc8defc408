//! The shells that words are completed for, and the script of each.

use clap_complete::env::Shells;

/// Names the shell that asks.
pub const VARIABLE: &str = "NETSTAT_USER_COMPLETE";

/// The shells there are scripts for.
pub const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// bash takes words apart at `=` and `:`, and replaces only what stands behind the last of them: the words are put together again, as far as
/// nothing stands between them on the line, and what is not replaced is taken from the answers.
const BASH: &str = r#"_netstat_user() {
    # Behind a redirection stands a file: the shell completes that.
    if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == *[\<\>] || ${COMP_WORDS[COMP_CWORD - 1]} == *\>[\&\|] ]]; then
        COMPREPLY=()
        return
    fi
    local line=$COMP_LINE blanks word whole at
    local -a words=()
    for ((at = 0; at <= COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        blanks=${line%%[![:blank:]]*}
        line=${line#"$blanks"}
        # Of the last word what stands before the cursor, without a quote that is open.
        whole=$word
        if ((at == COMP_CWORD)) && [[ $word != [=:]* || -n $2 ]]; then
            word=$2
        fi
        if ((at > 0)) && [[ -z $blanks && $line == "$whole"* ]] &&
            [[ $word == [=:]* || ${COMP_WORDS[at - 1]} == [=:]* ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        line=${line#"$whole"}
    done
    local last=$((${#words[@]} - 1))
    word=${words[last]}
    IFS=$'\v' read -r -a COMPREPLY <<<"$(
        _CLAP_IFS=$'\v' _CLAP_COMPLETE_INDEX=$last NETSTAT_USER_COMPLETE=bash netstat-user -- "${words[@]}" 2>/dev/null
    )"
    COMPREPLY=("${COMPREPLY[@]#"${word%"$2"}"}")
    # A folder goes on.
    if [[ ${COMPREPLY-} == *[=/:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
_netstat_user_names=(netstat-user)
# Where netstat is a link to it; bash-completion knows of a netstat only that it has options.
if [[ $(type -P netstat) -ef $(type -P netstat-user) ]]; then
    _netstat_user_names+=(netstat)
fi
if ((BASH_VERSINFO[0] > 4 || (BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4))); then
    complete -o bashdefault -o default -o nosort -F _netstat_user "${_netstat_user_names[@]}"
else
    complete -o bashdefault -o default -F _netstat_user "${_netstat_user_names[@]}"
fi
unset _netstat_user_names
"#;

/// zsh loads the script as a function once a word is to be completed, and calls that: it has to complete the word, too.
const FIRST_TAB: &str = "
if [[ ${funcstack[1]} = _netstat-user ]]; then
    _clap_dynamic_completer_netstat_user \"$@\"
fi
";

/// A shell's script; `None` for a shell that is none of [`SHELLS`].
pub fn script(shell: &str) -> Option<String> {
    if shell == "bash" {
        return Some(BASH.to_owned());
    }
    let shells = Shells::builtins();
    let completer = shells.completer(shell).filter(|_| SHELLS.contains(&shell))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "netstat-user", "netstat-user", "netstat-user", &mut script).ok()?;
    if shell == "zsh" {
        script.extend(FIRST_TAB.bytes());
    }
    String::from_utf8(script).ok()
}
