#!/bin/bash
# What README's "Install" says, as a person would type it, in a fresh Debian with systemd. Each step is a line, and a check of what it did.
port=/dev/ttyS1
[ "$(uname -m)" = aarch64 ] && port=/dev/ttyS0
stty -F $port raw -echo
exec </dev/null >$port 2>&1
echo '@@begin install'
# Programs come and go here.
set +h
passed=0 failed=0

# check NAME COMMAND…: the command succeeds.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "test install::$name ... ok"
    else
        failed=$((failed + 1))
        echo "test install::$name ... FAILED"
        echo "    $*"
        echo "$output" | head -40 | sed 's/^/    /'
    fi
}

# eventually COMMAND…: it succeeds within a minute.
eventually() {
    for _ in $(seq 120); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.5
    done
    "$@"
}

not() { ! "$@"; }
show() { echo "\$ $*"; "$@" 2>&1 | head -"${LINES_SHOWN:-6}"; }
property() { systemctl show --value --property "$1" netstat-user; }
as() { local user=$1; shift; setpriv --reuid "$user" --regid "$user" --init-groups -- "$@"; }
contains() { local text=$1; shift; "$@" 2>&1 | grep -F -e "$text"; }
equal() { [ "$1" = "$2" ] || { echo "$1"; echo "is not"; echo "$2"; return 1; }; }

uname -srm
systemctl --version | head -1

# Somebody listens, and talks to itself.
cat >/root/talk <<'PERL'
use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 4711, Listen => 5, ReuseAddr => 1) or die;
for (;;) {
    my $one = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 4711) or die;
    my $two = $listener->accept;
    sleep 1;
    close $one;
    close $two;
}
PERL
perl /root/talk &

# Before: nothing of ours is here.
files() { find / -xdev \( -path /proc -o -path /sys -o -path /root -o -path /var/log -o -path /var/lib/apt -o -path /var/cache \) -prune -o -print | sort; }
files >/root/before

# apt install ./netstat-user.deb
check installs apt-get install -y -q /root/netstat-user.deb
check the_program_runs contains 'netstat-user 0' netstat-user --version
check starts_nothing_by_itself equal inactive "$(systemctl is-active netstat-user)"
check makes_a_user_and_a_group getent passwd netstat-user
check offers_a_netstat contains 'netstat-user 0' netstat --version
check as_netstat_it_speaks_as_netstat contains "netstat: invalid option -- 'k'" netstat -k
check as_netstat_it_has_no_verbs contains 'Active Internet connections' netstat events
check has_a_manual_page_for_each_verb man --where netstat-user netstat-user-events netstat-user-agent netstat-user-doctor netstat-user-kill
check bash_completes bash -c '
    . /usr/share/bash-completion/bash_completion
    _completion_loader netstat-user
    COMP_LINE="netstat-user events --state=EST" COMP_WORDS=(netstat-user events --state = EST) COMP_CWORD=4
    $(complete -p netstat-user | sed "s/.*-F \([^ ]*\) .*/\1/") netstat-user EST =
    [ "${COMPREPLY[*]}" = ESTABLISHED ] || { echo "${COMPREPLY[*]}"; exit 1; }'

documents=/usr/share/doc/netstat-user
check has_documents ls $documents/README.md $documents/docs/agent.md $documents/copyright $documents/changelog.gz $documents/changelog.Debian.gz
dead_links() {
    cd $documents
    for page in README.md docs/*.md; do
        grep -o '](\([^)#:]*\)[)#]' $page | sed 's/..\(.*\)./\1/' | grep . | while read -r link; do
            [ -e "$(dirname $page)/$link" ] || echo "$page: $link"
        done
    done | grep .
}
check its_documents_link_to_what_is_there not dead_links

# net-tools has a netstat of its own: ours goes when that comes, and comes again when that goes.
check net_tools_installs_beside_it dpkg --install /root/net-tools.deb
check net_tools_has_the_netstat_then contains net-tools netstat --version
check ours_is_offered_no_more not update-alternatives --query netstat
check net_tools_is_removed dpkg --remove net-tools
check ours_is_the_netstat_again contains 'netstat-user 0' netstat --version
check with_its_manual_page man --where netstat
dpkg --install /root/net-tools.deb >/dev/null 2>&1
check is_removed_beside_net_tools dpkg --remove netstat-user
check net_tools_keeps_its_netstat contains net-tools netstat --version
check installs_beside_net_tools dpkg --install /root/netstat-user.deb
check net_tools_keeps_it_still contains net-tools netstat --version
check net_tools_is_purged dpkg --purge net-tools
check ours_takes_its_place contains 'netstat-user 0' netstat --version
# An administrator's own link is left alone.
ln -sf /bin/true /usr/bin/netstat
dpkg --install /root/netstat-user.deb >/dev/null 2>&1
check an_own_link_stays_when_it_is_installed_again equal /bin/true "$(readlink /usr/bin/netstat)"
dpkg --remove netstat-user >/dev/null 2>&1
check an_own_link_stays_when_it_is_removed equal /bin/true "$(readlink /usr/bin/netstat)"
rm /usr/bin/netstat
dpkg --install /root/netstat-user.deb >/dev/null 2>&1
check without_it_ours_is_there_again contains 'netstat-user 0' netstat --version

# systemctl enable --now netstat-user
check enables_and_starts systemctl enable --now netstat-user
check is_active equal active "$(systemctl is-active netstat-user)"
show systemctl status --no-pager --lines=5 netstat-user

# A member of the group asks the agent; somebody else reads the kernel.
useradd alice
useradd bob
usermod -aG netstat-user alice
check a_member_gets_the_table_from_the_agent contains 127.0.0.1:4711 as alice netstat-user -tln --agent /run/netstat-user/agent.sock
show as alice netstat-user -tn --recent 1m
check a_member_sees_what_closed_of_late eventually contains CLOSE as alice netstat-user -tn --recent 1m
check the_table_is_the_kernels equal "$(as alice netstat-user -tln)" "$(netstat-user -tln --no-agent)"
check another_user_is_refused_and_reads_the_kernel contains 127.0.0.1:4711 as bob netstat-user -tln
check another_user_learns_why contains 'ermission denied' as bob netstat-user -tln --agent /run/netstat-user/agent.sock
check a_member_streams_events contains state as alice netstat-user events --agent /run/netstat-user/agent.sock --count 3 --duration 60s
check doctor_finds_nothing_amiss netstat-user doctor
LINES_SHOWN=40 show netstat-user doctor

# systemctl reload
before=$(property MainPID)
check reloads systemctl reload netstat-user
check the_same_process_goes_on equal "$before" "$(property MainPID)"
check it_answers_after_a_reload contains 127.0.0.1:4711 as alice netstat-user -tln --agent /run/netstat-user/agent.sock

# kill -9: it comes back by itself.
kill -9 "$before"
returned() { [ "$(property MainPID)" != "$before" ] && [ "$(property MainPID)" != 0 ] && [ "$(systemctl is-active netstat-user)" = active ]; }
check is_restarted_after_kill_9 eventually returned
check it_answers_after_a_restart contains 127.0.0.1:4711 as alice netstat-user -tln --agent /run/netstat-user/agent.sock
show systemctl show --property NRestarts,MainPID,ActiveState netstat-user

# Options come from /etc/default.
sed -i 's/--mode 660/--mode 666/' /etc/default/netstat-user
check restarts_with_other_options systemctl restart netstat-user
check everybody_may_ask_then contains 127.0.0.1:4711 as bob netstat-user -tln --agent /run/netstat-user/agent.sock

# An earlier version, made of this one: it had its unit in another place of the same name, and no triggers.
dpkg-deb --raw-extract /root/netstat-user.deb /root/earlier
sed -i 's/^Version: .*/Version: 0.0.1-1/' /root/earlier/DEBIAN/control
rm -f /root/earlier/DEBIAN/triggers /root/earlier/DEBIAN/md5sums
mkdir -p /root/earlier/lib && mv /root/earlier/usr/lib/systemd /root/earlier/lib/
dpkg-deb -Znone --build /root/earlier /root/earlier.deb >/dev/null
answers() { [ "$(systemctl is-active netstat-user)" = active ] && contains 127.0.0.1:4711 as alice netstat-user -tln --agent /run/netstat-user/agent.sock; }
upgrades() {
    before=$(property MainPID)
    dpkg --force-confold --install "$1" && systemctl cat netstat-user && systemctl is-enabled netstat-user &&
        [ "$(property MainPID)" != "$before" ] && eventually answers && netstat --version
}
check is_downgraded_while_it_runs upgrades /root/earlier.deb
check is_upgraded_while_it_runs upgrades /root/netstat-user.deb
check an_upgrade_keeps_changed_options grep -q 'mode 666' /etc/default/netstat-user
check an_upgrade_leaves_the_unit test -f /usr/lib/systemd/system/netstat-user.service
rm -r /root/earlier /root/earlier.deb

# Bad places: each is one line, and what can work works.
check a_read_only_root_is_named contains 'ead-only file system' unshare --mount sh -c \
    'mount -o remount,bind,ro / && netstat-user agent --socket /srv/x/agent.sock'
check tables_work_on_a_read_only_root contains 127.0.0.1:4711 unshare --mount sh -c \
    'mount -o remount,bind,ro / && netstat-user -tln --no-agent'
systemctl stop netstat-user
check no_cgroup2_is_named contains cgroup unshare --mount sh -c \
    'umount --recursive /sys/fs/cgroup && netstat-user events --duration 1s'
check stops equal inactive "$(systemctl is-active netstat-user)"
check stopping_removes_the_socket not test -e /run/netstat-user/agent.sock
check without_an_agent_the_kernel_is_read contains 127.0.0.1:4711 as bob netstat-user -tln

# apt purge netstat-user
systemctl start netstat-user
check is_removed_while_it_runs apt-get remove -y -q netstat-user
check removing_ends_the_agent not grep -qsx netstat-user /proc/[0-9]*/comm
check removing_takes_the_netstat_back not test -e /usr/bin/netstat
purges() { apt-get purge -y -q netstat-user >/root/purged 2>&1 && not grep -e 'still there' -e 'group .* not removed' /root/purged; }
check is_purged purges
check purging_leaves_no_user not getent passwd netstat-user
check purging_leaves_no_group not getent group netstat-user
files >/root/after
left() { diff /root/before /root/after | grep '^>' | grep -v -e /run/ -e '/etc/\(passwd\|group\|shadow\|gshadow\|subuid\|subgid\)' -e /var/lib/dpkg -e /var/lib/systemd/; }
check purging_leaves_nothing not left
check purging_leaves_no_folder_in_run not test -e /run/netstat-user

# An account of that name that somebody else made stays, and the agent becomes nobody who logs in.
groupadd netstat-user
usermod -aG netstat-user alice
dpkg --install /root/netstat-user.deb >/dev/null 2>&1
check makes_a_user_in_a_group_that_is_there getent passwd netstat-user
dpkg --purge netstat-user >/dev/null 2>&1
check purging_leaves_a_group_of_others contains alice getent group netstat-user
check purging_leaves_no_user_in_it not getent passwd netstat-user
groupdel netstat-user
useradd --shell /bin/bash netstat-user
check a_user_that_logs_in_is_named contains 'netstat-user logs in' dpkg --install /root/netstat-user.deb
check the_agent_does_not_become_it contains 'logs in' netstat-user agent --socket /run/trial/agent.sock
systemctl start netstat-user
check nor_does_the_service equal 'failed 0' "$(systemctl is-active netstat-user) $(property NRestarts)"
systemctl reset-failed netstat-user
becomes_it() { systemctl restart netstat-user && equal "$(id -u netstat-user)" "$(awk '/^Uid:/ { print $2 }' "/proc/$(property MainPID)/status")"; }
sed -i 's/--group/--user netstat-user --group/' /etc/default/netstat-user
check the_agent_becomes_it_where_it_is_asked_to becomes_it
dpkg --purge netstat-user >/dev/null 2>&1
check purging_leaves_a_user_of_others getent passwd netstat-user
userdel netstat-user

# Where systemd does not run.
without_systemd() { unshare --mount sh -c 'mount -t tmpfs none /run && "$@"' sh "$@"; }
check installs_without_systemd contains "start the agent with 'netstat-user agent" without_systemd dpkg --install /root/netstat-user.deb
check is_purged_without_systemd without_systemd dpkg --purge netstat-user
files >/root/after
check that_leaves_nothing not left

# ./install.sh
check the_archive_unpacks tar -C /root -xzf /root/netstat-user.tar.gz
check the_archive_installs sh -c '/root/netstat-user-*/install.sh'
check the_archives_service_starts systemctl enable --now netstat-user
check the_archives_agent_answers contains 127.0.0.1:4711 netstat-user -tln --agent /run/netstat-user/agent.sock
before=$(property MainPID)
check the_archive_is_replaced_while_it_runs sh -c '/root/netstat-user-*/install.sh'
check the_service_runs_the_new_one not equal "$before" "$(property MainPID)"
check the_new_one_answers eventually contains 127.0.0.1:4711 netstat-user -tln --agent /run/netstat-user/agent.sock
# The package comes and goes beside it.
sed -i 's/--mode 660/--mode 666/' /etc/default/netstat-user
check the_package_installs_beside_it dpkg --force-confold --install /root/netstat-user.deb
check the_package_is_purged_beside_it dpkg --purge netstat-user
check purging_leaves_the_archives_service equal 'active enabled' "$(echo $(systemctl is-active netstat-user) $(systemctl is-enabled netstat-user))"
check purging_leaves_the_archives_options grep -q 'mode 666' /etc/default/netstat-user
check the_archives_agent_starts_again systemctl restart netstat-user
check the_archives_agent_answers_again contains 127.0.0.1:4711 as bob netstat-user -tln --agent /run/netstat-user/agent.sock
check the_archive_is_uninstalled sh -c '/root/netstat-user-*/install.sh --uninstall'
check uninstalling_ends_the_agent not grep -qsx netstat-user /proc/[0-9]*/comm
files >/root/after
check uninstalling_leaves_nothing not left
check uninstalling_leaves_no_user not getent passwd netstat-user
check uninstalling_leaves_no_unit not systemctl cat netstat-user

echo "$passed passed, $failed failed, 0 skipped"
echo "@@end install $failed"
sync
