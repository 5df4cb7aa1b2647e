#!/bin/bash
# `cloister sandbox run` as an ordinary user: with one uid, and with a range by newuidmap. It says which layers
# are missing and refuses, unless they are named one by one; what is left contains.
# usage: rootless.sh PATH-OF-CLOISTER
set -u
cloister=$1
uid=61234
failed=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
ln -s "$cloister" "$dir/cloister"
no_cgroups="--allow-missing cgroup-memory --allow-missing cgroup-pids --allow-missing cgroup-cpu"

[ "$(id -u)" = 0 ] || { echo "needs root, to become an ordinary user"; exit 1; }
command -v newuidmap >/dev/null || { echo "newuidmap is missing (package uidmap)"; exit 1; }

ordinary() { timeout 20 setpriv --reuid $uid --regid $uid --clear-groups "$@"; }
# A user with a range, known in this mount namespace only.
ranged()
{
    timeout 20 unshare -m bash -c 'set -e; dir=$1 uid=$2; shift 2
        { cat /etc/passwd; echo "cloister-test:x:$uid:$uid::/:/bin/sh"; } >"$dir/passwd"
        echo "cloister-test:200000000:65536" >"$dir/subid"; chmod 644 "$dir/passwd" "$dir/subid"
        touch /etc/subuid /etc/subgid
        mount --bind "$dir/passwd" /etc/passwd; mount --bind "$dir/subid" /etc/subuid; mount --bind "$dir/subid" /etc/subgid
        exec setpriv --reuid $uid --regid $uid --clear-groups "$@"' ranged "$dir" $uid "$@"
}
# check NAME WANTED-STATUS WANTED-TEXT STATUS OUTPUT
check()
{
    if [ "$2" = "$4" ] && [[ $5 == *"$3"* ]]; then
        echo "ok   $1"
    else
        echo "FAIL $1: status $4 (wanted $2), output: $5"
        failed=1
    fi
}

out=$(ordinary "$cloister" sandbox run -- /bin/true 2>&1)
check "without cgroups it refuses and names the layers" 125 "cgroup-memory, cgroup-pids and cgroup-cpu" $? "$out"

out=$(ordinary "$cloister" sandbox run $no_cgroups -- /bin/true 2>&1)
check "with a single uid it refuses and names slot-uid" 125 "slot-uid" $? "$out"

out=$(ordinary "$cloister" sandbox run $no_cgroups --allow-missing slot-uid -- /bin/sh -c 'ls /root /home 2>&1; cat /proc/1/environ 2>&1; ls /proc | grep -c "^[0-9]"' 2>&1)
check "what is left hides the host's files" 0 "cannot access '/root'" $? "$out"
check "what is left hides pid 1" 0 "Permission denied" 0 "$out"

out=$(ordinary "$cloister" sandbox run $no_cgroups --allow-missing slot-uid --json -- /bin/true 2>&1)
check "the missing layers are reported" 0 '"name":"slot-uid","active":false' $? "$out"

out=$(ordinary "$cloister" sandbox run $no_cgroups --allow-missing slot-uid --limit wall=1s -- /bin/sleep 60 2>&1)
check "the wall limit holds" 124 "WALL_TIME_LIMIT" $? "$out"

out=$(ordinary "$cloister" sandbox run $no_cgroups --allow-missing slot-uid --limit cpu=1s -- /bin/sh -c 'while :; do :; done' 2>&1)
check "the CPU limit holds through RLIMIT_CPU" 124 "CPU_TIME_LIMIT" $? "$out"

out=$(ranged "$cloister" sandbox run $no_cgroups -- /bin/sh -c 'id -u; touch /usr/x 2>&1; echo made >file; cat file' 2>&1)
check "with newuidmap the program has a uid of its own" 0 "1000" $? "$out"
check "with newuidmap /usr is read-only" 0 "Read-only file system" 0 "$out"
check "with newuidmap the workspace is writable" 0 "made" 0 "$out"

exit $failed
