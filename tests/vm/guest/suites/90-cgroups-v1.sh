# The cgroup room's suite once more, on v1 alone: cpu and cpuacct share a hierarchy, and the kernel is older than most v1
# hosts' (no pids.peak). Last, because no v2 is left after it.
gives_up_v2()
{
    echo '-cpu -memory -pids' >/sys/fs/cgroup/cgroup.subtree_control
    umount /sys/fs/cgroup && mount -t tmpfs -o mode=0755 tmpfs /sys/fs/cgroup
}

# A controller can change hierarchies when the last group of the old one is gone, page cache and all.
mount_v1()
{
    mkdir -p "/sys/fs/cgroup/$1"
    for _ in $(seq 150); do
        mount -t cgroup -o "$1" cgroup "/sys/fs/cgroup/$1" && return 0
        echo 3 >/proc/sys/vm/drop_caches
        sleep 0.3
    done
    return 1
}

check cgroups-v1.without-v2 gives_up_v2
for controllers in memory pids cpu,cpuacct freezer name=systemd; do
    case $controllers in name=*) controllers=none,$controllers ;; esac
    check "cgroups-v1.mount-$controllers" mount_v1 "$controllers"
done
mkdir -p /sys/fs/cgroup/systemd && mount --move /sys/fs/cgroup/none,name=systemd /sys/fs/cgroup/systemd
run_tap cgroups-v1 90 /opt/cloister/tests/test_integration_cgroups
