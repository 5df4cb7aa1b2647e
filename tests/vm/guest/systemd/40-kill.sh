# Each of the three processes is killed in the middle of a run: the service answers again by itself, and nothing survives.
pid_of() # spawner_pid or service_pid, as last started
{
    journalctl -u cloister -o cat | sed -n "s/.*\"event\":\"supervisor.started\".*\"$1\":\([0-9]*\).*/\1/p" | tail -n 1
}

are_gone() # PID...
{
    for pid in "$@"; do
        [ ! -e "/proc/$pid" ] || { echo "$pid is there: $(cat "/proc/$pid/comm")"; return 1; }
    done
}

# answers_anew PID: by others than the one that was killed.
answers_anew()
{
    [ ! -e "/proc/$1" ] && cloister node >/dev/null 2>&1
}

kill_one() # NAME PID
{
    main=$(systemctl show --value -p MainPID cloister.service)
    as grader 'exec cloister run --command -- sleep 60' &
    sleeper=$!
    soon group_of sleep >/dev/null
    before=$(below | grep -vx "$([ "$2" = "$main" ] || echo "$main")")
    began=$(centiseconds)
    kill -9 "$2"
    check "kill.$1.answers-again" soon answers_anew "$2"
    note "answered again $(($(centiseconds) - began)) cs after $1 was killed"
    check "kill.$1.nothing-survives" are_gone $before
    wait $sleeper
    check "kill.$1.the-caller-was-told" [ $? = 125 ]
    check "kill.$1.runs-again" ends_as EXITED hello.py
    find /sys/fs/cgroup -name 'cloister-*' >/tmp/trees
    check "kill.$1.one-tree" sh -c "cat /tmp/trees; echo $tree | cmp - /tmp/trees"
}

kill_one execsvc "$(pid_of service_pid)"
kill_one spawner "$(pid_of spawner_pid)"
check kill.systemd-had-nothing-to-do sh -c '[ "$(systemctl show --value -p NRestarts cloister.service)" = 0 ]'
kill_one supervisor "$(systemctl show --value -p MainPID cloister.service)"
check kill.systemd-has-restarted-it sh -c '[ "$(systemctl show --value -p NRestarts cloister.service)" = 1 ]'
