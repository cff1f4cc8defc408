@ACCOUNTS@
if [ "$1" = 0 ] && [ -d /run/systemd/system ] && ! other_service; then
    systemctl --no-reload disable --now netstat-user.service || true
fi
