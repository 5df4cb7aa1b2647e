# What a member of the group gets, and others do not.
cat >/home/grader/memory_bomb.py <<'EOF'
x = []
while True:
    x.append(b"x" * (1 << 20))
EOF
cat >/home/grader/fork_bomb.py <<'EOF'
import os, time
while True:
    if os.fork() == 0:
        time.sleep(60)
EOF

# ends_as VERDICT WORDS: a run of the grader's; its result is left in /tmp/run.json.
ends_as()
{
    as grader "cloister run --json $2" >/tmp/run.json
    cut -c-2000 /tmp/run.json
    grep -q "\"verdict\":\"$1\"" /tmp/run.json
}

check runs.hello ends_as EXITED hello.py
check runs.hello-said-it grep -q '"stdout":"hello from CPython' /tmp/run.json
check runs.all-layers-are-active sh -c 'grep -q "\"active\":true" /tmp/run.json && ! grep -q "\"active\":false" /tmp/run.json'
check runs.memory-bomb ends_as MEMORY_LIMIT memory_bomb.py
check runs.fork-bomb ends_as PROCESS_LIMIT fork_bomb.py
dd if=/dev/zero of=/home/grader/large bs=1M count=2 2>/dev/null
check runs.blobs ends_as EXITED '--file large --command -- wc -c large'
check runs.blobs-are-whole grep -q '"stdout":"2097152 large' /tmp/run.json
check runs.others-are-refused sh -c "su -s /bin/sh someone -c 'cloister run --command -- echo in' 2>&1 | grep -i 'permission denied'"
check runs.node sh -c 'cloister node | grep python3'
check runs.doctor cloister doctor
# c and node are not on this machine.
check runs.no-warnings sh -c "! journalctl -u cloister -o cat | grep -E '\"level\":\"(warn|error)\"' | grep -v runtime.failed"
check runs.the-journal-has-them sh -c 'journalctl -u cloister -o cat | grep -q "\"event\":\"run.ended\".*MEMORY_LIMIT"'
