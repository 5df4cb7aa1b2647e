# The machine, and the words of the suites after this one. The service's group, as systemd makes it:
group=/sys/fs/cgroup/system.slice/cloister.service

# as USER COMMAND: from his home.
as()
{
    su -s /bin/sh "$1" -c "cd /home/$1 && $2"
}

# soon COMMAND...: within 100 s, by a clock that may go too fast under the translator.
soon()
{
    soon_until=$(($(cut -d. -f1 /proc/uptime) + 100))
    until "$@" >/tmp/soon.log 2>&1; do
        [ "$(cut -d. -f1 /proc/uptime)" -lt $soon_until ] || { cat /tmp/soon.log; return 1; }
        sleep 0.1
    done
}

centiseconds()
{
    tr -d . </proc/uptime | cut -d' ' -f1
}

check machine.systemd-is-process-1 grep -qx systemd /proc/1/comm
check machine.cgroup2-alone sh -c 'grep -q " /sys/fs/cgroup cgroup2 .*nsdelegate" /proc/mounts && ! grep -q " cgroup " /proc/mounts'
check machine.no-network sh -c '[ "$(ls /sys/class/net)" = lo ]'
check machine.no-overlay-yet sh -c '! grep -q overlay /proc/filesystems'
systemctl is-system-running --wait >/tmp/state
check machine.running grep -qx running /tmp/state
note "systemd $(systemctl --version | sed -n '1s/^systemd \([^ ]*\).*/\1/p') was up after $(cut -d' ' -f1 /proc/uptime) s"
