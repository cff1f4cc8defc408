# The user and the group of the agent. What was there before is not ours to take away: a user of ours is known by its comment, home and shell,
# a group that was there before by a note made at the installation.
kept=/var/lib/netstat-user

# The user is one that sysusers.d, or this, made: nobody logs in as it. Its number is that of a group that was there before.
made_here() {
    getent passwd netstat-user | grep -q '^netstat-user:[^:]*:[1-9][0-9]*:[0-9]*:netstat-user agent:/nonexistent:[^:]*/nologin$'
}

# Before an installation.
note_group() {
    if getent group netstat-user >/dev/null && ! made_here && ! [ -e "$kept/group" ]; then
        mkdir -p "$kept" && : >"$kept/group"
    fi
}

make_accounts() {
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers netstat-user.conf
    elif ! command -v useradd >/dev/null; then
        return 1
    else
        getent group netstat-user >/dev/null || groupadd --system netstat-user &&
            { getent passwd netstat-user >/dev/null ||
                useradd --system --gid netstat-user --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin \
                    --comment "netstat-user agent" netstat-user; }
    fi || return 1
    ! logs_in ||
        echo "netstat-user: the user netstat-user logs in, and the agent does not become it: name another with --user in /etc/default/netstat-user" >&2
}

logs_in() {
    ! made_here && getent passwd netstat-user | grep -qv '^[^:]*:[^:]*:[0-9]\{1,3\}:.*/\(nologin\|false\)$'
}

remove_accounts() {
    gid=$(getent group netstat-user | cut -d: -f3)
    if made_here; then
        # It says of a group that has members that it stays.
        userdel netstat-user 2>/dev/null ||
            echo "netstat-user: the user netstat-user is still there: end its processes, then userdel netstat-user" >&2
    fi
    if [ -e "$kept/group" ]; then
        # userdel takes a group of the same name along that has no members.
        getent group netstat-user >/dev/null || groupadd --gid "$gid" netstat-user
    elif getent group netstat-user >/dev/null && ! groupdel netstat-user; then
        echo "netstat-user: the group netstat-user is still there: take it from its users, then groupdel netstat-user" >&2
    fi
    rm -rf "$kept"
}

# A service of that name that runs another program, that of the archive's install.sh say: it needs the account, the options and the link.
other_service() {
    [ -s /etc/systemd/system/netstat-user.service ] &&
        ! grep -q '^ExecStart=[^/]*/usr/bin/netstat-user ' /etc/systemd/system/netstat-user.service
}
