# reload, stop with a drain, start, restart.
state() # of all that must not change: processes, the socket
{
    systemctl show -p MainPID -p NRestarts -p ActiveState cloister.service
    pid_of service_pid
    stat -c '%a %U %G' /run/cloister /run/cloister/execsvc.sock
}

state >/tmp/state
check life.reload systemctl reload cloister.service
sleep 0.5
state >/tmp/state.after
check life.reload-left-all-as-it-was diff /tmp/state /tmp/state.after
check life.a-run-after-it ends_as EXITED hello.py

# A drain: what runs may end. It does so when its input ends, which is when a new run has been refused.
mkfifo /tmp/input
chmod 666 /tmp/input
as grader "exec cloister run -i --command -- sh -c 'echo begun; read line; sleep 2; echo ended'" </tmp/input >/tmp/drained 2>&1 &
drained=$!
exec 4>/tmp/input
soon grep -q begun /tmp/drained
main=$(systemctl show --value -p MainPID cloister.service)
processes=$(below)
systemctl stop --no-block cloister.service
soon sh -c "journalctl -u cloister -o cat | grep -q service.draining"
as grader 'cloister run --command -- echo new' >/tmp/refused 2>&1
refused=$?
cat /tmp/refused
check life.new-runs-are-refused [ $refused = 125 ]
check life.and-told-why grep -q "being shut down" /tmp/refused
began=$(centiseconds)
exec 4>&-
check life.stop systemctl stop cloister.service
note "stop took $(($(centiseconds) - began)) cs, of which the running program's 200"
wait $drained
check life.the-running-one-ended [ $? = 0 ]
check life.with-all-its-output grep -qx ended /tmp/drained
check life.stopped-well sh -c 'systemctl show -p Result -p ExecMainStatus -p ActiveState cloister.service | sort | tr "\n" " " |
    grep -x "ActiveState=inactive ExecMainStatus=0 Result=success "'
check life.no-process-left are_gone $processes
check life.no-group-left sh -c "! find /sys/fs/cgroup -name '*cloister*' | grep ."
check life.no-user-of-ours-runs sh -c '! ps -eo uid,comm | grep -E "^ *([0-9]{7,}|$(id -u cloister)) "'
sed 's/^[0-9]* [0-9]* //' /run/mounts-before | sort >/tmp/before
check life.no-mount-left sh -c 'sed "s/^[0-9]* [0-9]* //" /proc/self/mountinfo | sort | diff /tmp/before -'
check life.no-socket-left [ ! -e /run/cloister/execsvc.sock ]
check life.stopped-is-said sh -c 'cloister node 2>&1; [ $? = 125 ]'

began=$(centiseconds)
check life.start systemctl start cloister.service
check life.started-means-ready cloister node
note "start until it serves took $(($(centiseconds) - began)) cs"
check life.restart systemctl restart cloister.service
check life.restarted-means-ready cloister node
check life.runs-after-it ends_as EXITED hello.py
