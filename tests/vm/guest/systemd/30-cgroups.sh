# A run's group lies below what systemd has delegated to the unit, and the caps are those of the configuration.
below() # every process of the service
{
    cat $(find $group -name cgroup.procs) 2>/dev/null
}

group_of() # COMM: the group of the first process of that name below the service's
{
    group_pid=$(grep -lx "$1" $(below | sed 's|.*|/proc/&/comm|') /dev/null 2>/dev/null | sed -n '1s/[^0-9]//gp')
    [ -n "$group_pid" ] && sed 's|^0::|/sys/fs/cgroup|' "/proc/$group_pid/cgroup"
}

holds() # VALUE FILE
{
    [ "$1" = "$(cat "$2")" ] || { echo "$2 holds $(cat "$2"), not $1"; return 1; }
}

as grader 'exec cloister run --command -- sleep 60' &
sleeper=$!
check cgroups.the-run-is-below-the-unit soon group_of sleep
leaf=$(group_of sleep)
tree=$group/cloister-default
note "a run's group: $leaf"
check cgroups.in-the-tree-of-the-instance sh -c "case $leaf in $tree/*) ;; *) exit 1 ;; esac"
check cgroups.memory-of-the-run holds 134217728 "$leaf/memory.max"
check cgroups.no-swap-of-the-run holds 0 "$leaf/memory.swap.max"
check cgroups.processes-of-the-run sh -c "[ \$(cat $leaf/pids.max) -le 60 ]"
check cgroups.memory-of-all sh -c "[ \$(cat $tree/memory.max) -le \$((\$(sed -n 's/MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024 * 4 / 5)) ]"
check cgroups.processes-of-all holds 4096 $tree/pids.max
check cgroups.the-caps-are-roots sh -c "[ \$(stat -c %u $tree/memory.max) = 0 ] && [ \$(stat -c %u $tree/cgroup.procs) != 0 ]"
check cgroups.nothing-else-on-the-machine sh -c "[ \$(find /sys/fs/cgroup -name 'cloister-*' | wc -l) = 1 ]"

# A cap that the operator gives the unit holds above all of them, and the service lives on. All at once: near a cap the
# kernel takes the page cache away again and again before it gives up.
echo 'x = b"x" * (100 << 20)' >/home/grader/hog.py
main=$(systemctl show --value -p MainPID cloister.service)
systemctl set-property --runtime cloister.service MemoryMax=$(($(cat $group/memory.current) + 67108864))
ends_as INTERNAL hog.py
check cgroups.a-cap-of-the-unit-holds sh -c "grep -q 'oom_kill [1-9]' $group/memory.events && ! grep -q '\"verdict\":\"EXITED\"' /tmp/run.json"
systemctl set-property --runtime cloister.service MemoryMax=infinity
check cgroups.and-the-service-lives soon cloister node
check cgroups.in-the-same-process sh -c "[ $main = \$(systemctl show --value -p MainPID cloister.service) ]"
kill $sleeper
wait $sleeper
