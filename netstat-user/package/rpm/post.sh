@ACCOUNTS@
make_accounts || true
if [ -d /run/systemd/system ]; then
    systemd-tmpfiles --create netstat-user.conf || true
    systemctl daemon-reload || true
    if [ "$1" -gt 1 ]; then
        systemctl try-restart netstat-user.service || true
    fi
else
    echo "netstat-user: systemd does not run here: start the agent with 'netstat-user agent --group netstat-user --mode 660'"
fi
