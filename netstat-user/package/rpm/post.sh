if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers netstat-user.conf
else
    getent group netstat-user >/dev/null || groupadd --system netstat-user
    getent passwd netstat-user >/dev/null ||
        useradd --system --gid netstat-user --no-create-home --home-dir / --shell /sbin/nologin netstat-user
fi
if [ -d /run/systemd/system ]; then
    systemd-tmpfiles --create netstat-user.conf || true
    systemctl daemon-reload || true
    if [ "$1" -gt 1 ]; then
        systemctl try-restart netstat-user.service || true
    fi
else
    echo "netstat-user: systemd does not run here: start the agent with 'netstat-user agent --group netstat-user --mode 660'"
fi
