if [ "$1" = 0 ]; then
    rm -rf /run/netstat-user
    ! getent passwd netstat-user >/dev/null || userdel netstat-user
    ! getent group netstat-user >/dev/null || groupdel netstat-user
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
