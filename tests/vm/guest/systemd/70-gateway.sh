# The gateway from its unit as shipped, with SQLite; a backup by its own unit.
commands_of 'Install the gateway' install | run_manual gateway
check gateway.live sh -c 'wget -qO- http://127.0.0.1:8443/health | grep status'
check gateway.page sh -c 'wget -qO- http://127.0.0.1:8443/ | grep -i "<html"'
check gateway.reload systemctl reload frontgw.service
check gateway.backup systemctl start frontgw-backup.service
check gateway.the-archive-is-there sh -c 'ls -l /var/lib/cloister/frontgw/backups/frontgw-*.tar.gz'
main=$(systemctl show --value -p MainPID frontgw.service)
kill -9 "$main"
check gateway.answers-again soon sh -c '! [ -e /proc/'"$main"' ] && wget -qO- http://127.0.0.1:8443/health/ready'
check gateway.stop systemctl stop frontgw.service
check gateway.stopped-well sh -c 'systemctl show -p Result -p ExecMainStatus frontgw.service | sort | tr "\n" " " |
    grep -x "ExecMainStatus=0 Result=success "'
