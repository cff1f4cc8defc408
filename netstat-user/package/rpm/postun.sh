if [ "$1" = 0 ]; then
    rm -rf /run/netstat-user
    ! getent passwd netstat-user >/dev/null || userdel netstat-user || true
    ! getent group netstat-user >/dev/null || groupdel netstat-user || true
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
