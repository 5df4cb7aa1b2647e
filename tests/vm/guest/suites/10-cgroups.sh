# The cgroup room's own suite, against cgroup v2.
for program in /opt/cloister/tests/test_integration_cgroups*; do
    [ -x "$program" ] && run_tap "$(basename "$program" | sed 's/^test_integration_//')" 90 "$program"
done
