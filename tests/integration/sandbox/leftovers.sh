#!/bin/bash
# A `cloister sandbox run` that is killed in the middle leaves no process and no mount; its cgroups are removed by
# the next one that starts. usage: leftovers.sh PATH-OF-CLOISTER
set -u
cloister=$1
failed=0
expect() { if [ "$2" = "$3" ]; then echo "ok   $1"; else echo "FAIL $1: $2 (wanted $3)"; failed=1; fi; }
groups_of() { find /sys/fs/cgroup -maxdepth 3 -type d -name "cloister-run-$1-*" 2>/dev/null | wc -l; }

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
timeout 30 "$cloister" sandbox run -- /bin/true
expect "the next run works" $? 0
expect "and has removed the groups of the killed one" "$(groups_of $pid)" 0
expect "no mount is left on the host" "$(wc -l </proc/self/mounts)" "$mounts"
exit $failed
