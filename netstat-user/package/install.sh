#!/bin/sh
# Installs from the unpacked archive below /usr/local, or below the folder given: ./install.sh [PREFIX]
# Takes all of it away again: ./install.sh --uninstall [PREFIX]
# Each thing that this system cannot do is one line; the rest is done.
set -eu
umask 022

say() {
    echo "netstat-user: $*" >&2
}

uninstall=
if [ "${1-}" = --uninstall ]; then
    uninstall=yes
    shift
fi
prefix=${1:-/usr/local}
case $prefix in
/*) ;;
-*)
    say "./install.sh [--uninstall] [PREFIX], and not $prefix"
    exit 2
    ;;
*) prefix=$PWD/$prefix ;;
esac
cd "$(dirname "$0")"
unit=/etc/systemd/system/netstat-user.service
# The files that were installed, and the folders that were made for them.
list=$prefix/share/doc/netstat-user/installed

# folders PATH…: makes those that are missing, and those above them, and notes them.
folders() {
    while [ $# -gt 0 ]; do
        if ! [ -d "$1" ]; then
            folders "$(dirname "$1")" && mkdir "$1" || return 1
            installed="$installed$1
"
        fi
        shift
    done
}

# Is the service's unit the one that was installed with this prefix?
has_service() {
    [ "$(id -u)" = 0 ] && grep -qs "^ExecStart=$prefix/bin/netstat-user " "$unit"
}

remove() {
    if ! [ -e "$list" ]; then
        say "nothing of it is installed below $prefix: ./install.sh --uninstall PREFIX names another folder"
        exit 1
    fi
    if ! [ -w "$list" ]; then
        say "$prefix cannot be written to: nothing is removed"
        exit 1
    fi
    if has_service; then
        if [ -d /run/systemd/system ]; then
            systemctl --no-reload disable --now netstat-user || true
        fi
        rm -f "$unit" /etc/systemd/system/multi-user.target.wants/netstat-user.service
        rm -f /etc/sysusers.d/netstat-user.conf /etc/tmpfiles.d/netstat-user.conf
        # What a package of the distribution has too is left to that.
        if ! [ -e /usr/lib/systemd/system/netstat-user.service ] && ! [ -e /lib/systemd/system/netstat-user.service ]; then
            rm -f /etc/default/netstat-user
            rm -rf /run/netstat-user
            ! getent passwd netstat-user >/dev/null || userdel netstat-user ||
                say "the user netstat-user is still there: end its processes, then userdel netstat-user"
            ! getent group netstat-user >/dev/null || groupdel netstat-user ||
                say "the group netstat-user is still there: take it from its users, then groupdel netstat-user"
        fi
        if [ -d /run/systemd/system ]; then
            systemctl daemon-reload
            systemctl reset-failed netstat-user 2>/dev/null || true
        fi
    fi
    # Files before their folders; what somebody else has put there since stays.
    sort -r "$list" | while read -r path; do
        if [ -d "$path" ]; then
            rmdir "$path" 2>/dev/null || true
        else
            rm -f "$path"
        fi
    done
    echo "removed what was installed below $prefix"
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
installed=
if ! folders "$prefix/bin" 2>/dev/null || ! [ -w "$prefix/bin" ]; then
    say "$prefix cannot be written to: give another folder, ./install.sh \$HOME/.local, or run bin/netstat-user from here"
    exit 1
fi
for folder in $(find share -type d); do
    folders "$prefix/$folder"
done
for file in $(find bin share -type f) share/doc/netstat-user/installed; do
    installed="$installed$prefix/$file
"
done
cp -R bin share "$prefix/"
echo "installed $prefix/bin/netstat-user, its manual pages and completions"

if [ "$(id -u)" != 0 ]; then
    say "not root: the agent's service is not installed"
elif ! [ -d /run/systemd/system ]; then
    say "systemd does not run here: start the agent with '$prefix/bin/netstat-user agent'"
elif ! [ -w /etc/systemd/system ]; then
    say "/etc cannot be written to: the agent's service is not installed"
else
    folders /etc/sysusers.d /etc/tmpfiles.d /etc/default
    sed "s,/usr/bin/netstat-user,$prefix/bin/netstat-user," lib/systemd/system/netstat-user.service >"$unit"
    cp lib/sysusers.d/netstat-user.conf /etc/sysusers.d/
    cp lib/tmpfiles.d/netstat-user.conf /etc/tmpfiles.d/
    [ -e /etc/default/netstat-user ] || cp share/doc/netstat-user/netstat-user.default /etc/default/netstat-user
    systemd-sysusers netstat-user.conf
    systemd-tmpfiles --create netstat-user.conf
    systemctl daemon-reload
    echo "installed the service: systemctl enable --now netstat-user"
fi
# What an earlier version had stays noted.
printf %s "$installed" | sort -u - "$list" -o "$list" 2>/dev/null || printf %s "$installed" >"$list"
