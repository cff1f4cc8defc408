#!/bin/sh
# Installs from the unpacked archive below /usr/local, or below the folder given: ./install.sh [PREFIX]
# Each thing that this system cannot do is one line; the rest is installed.
set -eu
prefix=${1:-/usr/local}
case $prefix in
/*) ;;
*) prefix=$PWD/$prefix ;;
esac
cd "$(dirname "$0")"

say() {
    echo "netstat-user: $*" >&2
}

if ! ./bin/netstat-user --version >/dev/null 2>&1; then
    if ls /lib/ld-musl-* >/dev/null 2>&1; then
        say "this system has the C library musl, and the program needs the GNU C library: run it in a container of Debian's, say, with --pid host --network host --privileged"
    else
        say "the program does not run here: it is for $(basename "$PWD" | sed 's/.*-//') with the GNU C library 2.17 or later"
    fi
    exit 1
fi
if ! mkdir -p "$prefix/bin" 2>/dev/null || ! [ -w "$prefix/bin" ]; then
    say "$prefix cannot be written to: give another folder, ./install.sh \$HOME/.local, or run bin/netstat-user from here"
    exit 1
fi
cp -R bin share "$prefix/"
echo "installed $prefix/bin/netstat-user, its manual pages and completions"

if [ "$(id -u)" != 0 ]; then
    say "not root: the agent's service is not installed"
elif [ -d /run/systemd/system ]; then
    sed "s,/usr/bin/netstat-user,$prefix/bin/netstat-user," lib/systemd/system/netstat-user.service \
        >/etc/systemd/system/netstat-user.service
    mkdir -p /etc/sysusers.d /etc/tmpfiles.d
    cp lib/sysusers.d/netstat-user.conf /etc/sysusers.d/
    cp lib/tmpfiles.d/netstat-user.conf /etc/tmpfiles.d/
    [ -e /etc/default/netstat-user ] || {
        mkdir -p /etc/default
        cp share/doc/netstat-user/netstat-user.default /etc/default/netstat-user
    }
    systemd-sysusers netstat-user.conf
    systemd-tmpfiles --create netstat-user.conf
    systemctl daemon-reload
    echo "installed the service: systemctl enable --now netstat-user"
else
    say "systemd does not run here: start the agent with '$prefix/bin/netstat-user agent'"
fi
