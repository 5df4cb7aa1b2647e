#!/bin/bash
# A `cloister sandbox run` that is killed in the middle leaves no process, no mount and no cgroup; if its sweeper is
# killed too, the next one that starts removes the cgroups. One that ends leaves nothing either, a moment later. usage: leftovers.sh PATH-OF-CLOISTER
set -u
cloister=$1
failed=0
expect() { if [ "$2" = "$3" ]; then echo "ok   $1"; else echo "FAIL $1: $2 (wanted $3)"; failed=1; fi; }
groups_of() { find /sys/fs/cgroup -maxdepth 3 -type d -name "cloister-run-$1-*" 2>/dev/null | wc -l; }

gone() { # PID: its groups are gone within 5 s
    for _ in $(seq 50); do
        [ "$(groups_of "$1")" = 0 ] && break
        sleep 0.1
    done
    groups_of "$1"
}

mounts=$(wc -l </proc/self/mounts)
# A number that no other program has: what is looked for is our own sleeper.
seconds=$((100000 + $$))
"$cloister" sandbox run -- /bin/sleep $seconds &
pid=$!
for _ in $(seq 100); do
    pgrep -f "^/bin/sleep $seconds" >/dev/null && break
    sleep 0.1
done
expect "the program runs" "$(pgrep -cf "^/bin/sleep $seconds")" 1
kill -KILL $pid
wait $pid 2>/dev/null
for _ in $(seq 50); do
    pgrep -f "^/bin/sleep $seconds" >/dev/null || break
    sleep 0.1
done
expect "after kill -9 no process of the run is left" "$(pgrep -cf "^/bin/sleep $seconds")" 0
expect "and no group" "$(gone $pid)" 0
timeout 30 "$cloister" sandbox run -- /bin/true
expect "the next run works" $? 0
"$cloister" sandbox run -- /bin/true &
pid=$!
wait $pid
expect "what has ended by itself leaves no group" "$(gone $pid)" 0
# Groups whose sweeper did not live either: as after a crash of the machine's memory. A number that is no process's.
dead=$(($(cat /proc/sys/kernel/pid_max) - 1))
place=$(find /sys/fs/cgroup -maxdepth 1 -type d -name memory)
if [ -n "$place" ] && ! kill -0 $dead 2>/dev/null; then
    mkdir "$place/cloister-run-$dead-$(stat -Lc %i /proc/self/ns/pid)"
    timeout 30 "$cloister" sandbox run --allow-missing seccomp -- /bin/true
    expect "groups that nobody swept are removed by the next node" "$(groups_of $dead)" 0
fi
expect "no mount is left on the host" "$(wc -l </proc/self/mounts)" "$mounts"
exit $failed
