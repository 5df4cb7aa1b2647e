# What systemd itself thinks of the units.
for unit in cloister.service frontgw.service; do
    systemd-analyze security --no-pager $unit >/tmp/security 2>&1
    cat /tmp/security
    check security.$unit grep -q 'Overall exposure level' /tmp/security
    note "systemd-analyze security: $(sed -n 's/^.*Overall/Overall/p' /tmp/security)"
done
check security.verify systemd-analyze verify --man=no cloister.service frontgw.service frontgw-backup.timer
