#!/bin/sh
# Installs from the unpacked archive below /usr/local, or below the folder given: ./install.sh [PREFIX]
# Takes all of it away again: ./install.sh --uninstall [PREFIX]
# Each thing that this system cannot do is one line; the rest is done.
set -eu
umask 022

say() {
    printf 'netstat-user: %s\n' "$*" >&2
}

@ACCOUNTS@
uninstall=
if [ "${1-}" = --uninstall ]; then
    uninstall=yes
    shift
fi
case ${1-} in
-*) set -- one two ;;
*'
'*)
    say "the name of the folder has more than one line: give another"
    exit 2
    ;;
esac
if [ $# -gt 1 ]; then
    say "it is ./install.sh [--uninstall] [PREFIX], and no other words"
    exit 2
fi

# real PATH: one spelling of it, as far as it is there.
real() {
    path=$1 missing=
    while ! [ -d "$path" ]; do
        case ${path##*/} in
        '' | .) ;;
        ..) return 1 ;;
        *) missing=/${path##*/}$missing ;;
        esac
        case $path in
        */*) path=${path%/*} ;;
        *) path=. ;;
        esac
        path=${path:-/}
    done
    path=$(CDPATH='' cd "$path" && pwd -P) && printf '%s%s\n' "${path%/}" "$missing"
}

if ! prefix=$(real "${1:-/usr/local}"); then
    say "$1 goes up from a folder that is not there: give another"
    exit 2
fi
cd "$(dirname "$(readlink -f "$0")")"
unit=/etc/systemd/system/netstat-user.service
# The first line of the unit, by which it is known again.
mark="# Written by install.sh below $prefix"
# The files that were installed, and the folders that were made for them, each noted before it is there.
list=$prefix/share/doc/netstat-user/installed

# Is the service's unit the one that was installed with this prefix?
has_service() {
    [ "$(id -u)" = 0 ] && [ -e "$unit" ] && [ "$(head -n 1 "$unit")" = "$mark" ]
}

# A package of the distribution has the service, too.
packaged() {
    [ -e /usr/lib/systemd/system/netstat-user.service ] || [ -e /lib/systemd/system/netstat-user.service ]
}

systemd_runs() {
    [ -d /run/systemd/system ]
}

remove() {
    if ! [ -e "$list" ]; then
        say "nothing of it is installed below ${prefix:-/}: ./install.sh --uninstall PREFIX names another folder"
        exit 1
    fi
    if ! [ -w "$list" ]; then
        say "${prefix:-/} cannot be written to: nothing is removed"
        exit 1
    fi
    paths=$(LC_ALL=C sort -r -u "$list")
    served=
    if has_service; then
        served=yes
        if systemd_runs; then
            systemctl --no-reload disable --now netstat-user || true
        fi
        rm -f "$unit" /etc/systemd/system/multi-user.target.wants/netstat-user.service
        if systemd_runs; then
            systemctl daemon-reload 2>/dev/null || true
            systemctl reset-failed netstat-user 2>/dev/null || true
        fi
    fi
    # An installation may have ended between that file and the unit.
    if [ -n "$served" ] || grep -qxF /etc/sysusers.d/netstat-user.conf "$list"; then
        if ! packaged && ! other_service; then
            rm -f /etc/default/netstat-user
            rm -rf /run/netstat-user
            remove_accounts
        fi
    fi
    # The list goes after the other files: who is interrupted begins again.
    printf '%s\n' "$paths" | while IFS= read -r path; do
        [ -d "$path" ] || [ "$path" = "$list" ] || [ "$path" = /etc/default/netstat-user ] || rm -f "$path"
    done
    rm -f "$list"
    # A folder that somebody else has put something in since stays.
    printf '%s\n' "$paths" | while IFS= read -r path; do
        rmdir "$path" 2>/dev/null || true
    done
    printf 'removed what was installed below %s\n' "${prefix:-/}"
}

if [ -n "$uninstall" ]; then
    remove
    exit
fi

if ! ./bin/netstat-user --version >/dev/null 2>&1; then
    if ls /lib/ld-musl-* >/dev/null 2>&1; then
        say "this system has the C library musl, and the program needs the GNU C library: run it in a container of Debian's, say, with --pid host --network host --privileged"
    else
        say "the program does not run here: it is for $(basename "$PWD" | sed 's/.*-//') with the GNU C library 2.17 or later"
    fi
    exit 1
fi

# note PATH: before it is made. What was noted by an earlier run stays noted.
note() {
    grep -qsxF -e "$1" "$list" || printf '%s\n' "$1" >>"$list"
}

# folder PATH: makes it, and those above it, where they are missing.
folder() {
    if ! [ -d "$1" ]; then
        folder "$(dirname "$1")" && note "$1" && mkdir "$1" || return 1
    fi
}

# put FROM TO MODE: a file, whole or not at all, also in place of a program that runs.
put() {
    note "$2" && note "$2.new" && cp "$1" "$2.new" && chmod "$3" "$2.new" && mv -f "$2.new" "$2"
}

# The list's own folder comes first, and is noted in it once it is there.
begin() {
    if [ -e "$list" ]; then
        [ -w "$list" ]
        return
    fi
    made=
    above=$(dirname "$list")
    while ! [ -d "$above" ]; do
        made="$above
$made"
        above=$(dirname "$above")
    done
    if mkdir -p "$(dirname "$list")" && printf '%s%s\n' "$made" "$list" >"$list"; then
        return
    fi
    # Half a list is none.
    rm -f "$list"
    printf %s "$made" | LC_ALL=C sort -r | while IFS= read -r path; do
        rmdir "$path" || true
    done
    return 1
}

if ! begin 2>/dev/null; then
    say "${prefix:-/} cannot be written to: give another folder, ./install.sh \$HOME/.local, or run bin/netstat-user from here"
    exit 1
fi

files() {
    folder "$prefix/bin" || return 1
    find share -type d | while read -r path; do
        folder "$prefix/$path" || return 1
    done || return 1
    find bin share -type f | while read -r path; do
        mode=644
        [ "${path#bin/}" = "$path" ] || mode=755
        put "$path" "$prefix/$path" $mode || return 1
    done
}

if ! failure=$(files 2>&1); then
    say "$(printf '%s\n' "$failure" | head -n 1): ./install.sh --uninstall${1+ $1} takes away what is there"
    exit 1
fi
printf 'installed %s/bin/netstat-user, its manual pages and completions\n' "$prefix"

# Where a shell does not look by itself for its completions; what a person's own files add to that is not known here.
share=$prefix/share
own=${XDG_DATA_HOME:-${HOME-}/.local/share}
# looks_elsewhere SHELL PLACES: the shell is there, and looks in these places only.
looks_elsewhere() {
    command -v "$1" >/dev/null && case $2 in
    *":$share:"*) false ;;
    esac
}
if looks_elsewhere bash ":$own:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}:"; then
    say "for completions in bash, in ~/.bashrc: source '$share/bash-completion/completions/netstat-user'"
fi
if looks_elsewhere fish ":$own:/usr/share:${XDG_DATA_DIRS-}:"; then
    say "for completions in fish: mkdir -p ~/.config/fish/completions && ln -s '$share/fish/vendor_completions.d/netstat-user.fish' ~/.config/fish/completions/"
fi
if looks_elsewhere zsh ":$(zsh -fc 'print -l $fpath' 2>/dev/null | sed -n 's,/zsh/site-functions$,,p' | tr '\n' :)"; then
    say "for completions in zsh, in ~/.zshrc before compinit: fpath=('$share/zsh/site-functions' \$fpath)"
fi

# The files of the service in /etc.
service() {
    folder /etc/sysusers.d && folder /etc/tmpfiles.d && folder /etc/default || return 1
    note_group || return 1
    put lib/sysusers.d/netstat-user.conf /etc/sysusers.d/netstat-user.conf 644 || return 1
    put lib/tmpfiles.d/netstat-user.conf /etc/tmpfiles.d/netstat-user.conf 644 || return 1
    [ -e /etc/default/netstat-user ] || put share/doc/netstat-user/netstat-user.default /etc/default/netstat-user 644 || return 1
    { echo "$mark" && sed "s,/usr/bin/netstat-user,$prefix/bin/netstat-user," lib/systemd/system/netstat-user.service; } >"$unit.new" &&
        mv -f "$unit.new" "$unit" || { rm -f "$unit.new"; return 1; }
}

# ProtectHome and PrivateTmp of the unit.
case $prefix/ in
/home/* | /root/* | /run/user/* | /tmp/* | /var/tmp/*) hidden=yes ;;
*) hidden=no ;;
esac
if [ "$(id -u)" != 0 ]; then
    say "not root: the agent's service is not installed"
elif ! systemd_runs; then
    say "systemd does not run here: start the agent with '$prefix/bin/netstat-user agent'"
elif ! [ -w /etc/systemd/system ]; then
    say "/etc cannot be written to: the agent's service is not installed"
elif [ -e "$unit" ] && ! has_service; then
    say "$unit is another's, and stays: the agent's service is not installed"
elif [ -n "$(printf %s "$prefix" | tr -d 'A-Za-z0-9/._+~-')" ]; then
    say "systemd has a meaning of its own for some letters of $prefix: the agent's service is not installed"
elif [ "$hidden" = yes ]; then
    say "the service sees nothing below $prefix, where people have their own files: it is not installed"
elif ! failure=$(service 2>&1); then
    say "$(printf '%s\n' "$failure" | head -n 1): the agent's service is not installed"
else
    make_accounts || say "the user and the group netstat-user cannot be made: the service does not start without the group"
    # The unit makes its folder itself; this is for an agent that is started by hand.
    systemd-tmpfiles --create netstat-user.conf 2>/dev/null || true
    if ! systemctl daemon-reload 2>/dev/null; then
        say "systemd does not answer: systemctl daemon-reload, once it does"
    elif ! systemctl try-restart netstat-user; then
        say "the service does not start again: systemctl status netstat-user"
    fi
    echo "installed the service: systemctl enable --now netstat-user"
fi
