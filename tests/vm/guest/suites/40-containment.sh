# Every containment probe in sandboxes on cgroup v2; those without limits of their own share one, as a sandbox takes its
# time under qemu's translator. A crash must not reach the host's core handler, which a
# distribution may well have configured: here it would leave a mark.
echo '|/bin/touch /run/core-handler-ran' >/proc/sys/kernel/core_pattern
run_lines probes 170 /opt/cloister/security/run.py --build /opt/cloister --way native \
    --jobs 3 --batch fs.,kernel.,net.,privilege. --beside
check probes.no-core-handler test ! -e /run/core-handler-ran
echo core >/proc/sys/kernel/core_pattern
