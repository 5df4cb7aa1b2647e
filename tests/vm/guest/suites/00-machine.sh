# The machine itself: what every later suite takes for granted.
has_word()
{
    case " $(cat "$2") " in *" $1 "*) return 0 ;; esac
    echo "$2 holds: $(cat "$2")"
    return 1
}

check machine.cgroup2-mounted grep -q ' /sys/fs/cgroup cgroup2 ' /proc/mounts
check machine.no-cgroup-v1 sh -c '! grep -q " cgroup " /proc/mounts'
for controller in cpu memory pids; do
    check machine.controller-$controller has_word $controller /sys/fs/cgroup/cgroup.controllers
done
# A systemd host hands the controllers on to its slices.
echo '+cpu +memory +pids' >/sys/fs/cgroup/cgroup.subtree_control
check machine.subtree-control has_word pids /sys/fs/cgroup/cgroup.subtree_control
check machine.cgroup-kill sh -c 'mkdir /sys/fs/cgroup/probe && test -e /sys/fs/cgroup/probe/cgroup.kill &&
    rmdir /sys/fs/cgroup/probe'
check machine.overlay grep -q overlay /proc/filesystems
check machine.user-namespaces unshare -U true
