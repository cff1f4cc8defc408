@ACCOUNTS@
if [ "$1" = 0 ] && other_service; then
    # rpm has put options that were changed aside.
    if [ -e /etc/default/netstat-user.rpmsave ] && ! [ -e /etc/default/netstat-user ]; then
        mv /etc/default/netstat-user.rpmsave /etc/default/netstat-user
    fi
elif [ "$1" = 0 ]; then
    rm -rf /run/netstat-user
    rm -f /etc/systemd/system/multi-user.target.wants/netstat-user.service
    remove_accounts
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
