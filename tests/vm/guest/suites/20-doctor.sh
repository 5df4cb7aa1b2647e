# `cloister doctor` on a host that has all, and on hosts that lack something.
doctor_finds() # STATE NAME
{
    cloister doctor | grep -E "^$1 +$2 "
}

check doctor.healthy cloister doctor
check doctor.version-2 sh -c 'cloister doctor | grep -E "^ok +cgroups +v2"'

sysctl -q -w user.max_user_namespaces=0
check doctor.no-user-namespaces doctor_finds shortfall user-namespace
check doctor.names-the-sysctl doctor_finds shortfall max-user-namespaces
check doctor.unhealthy sh -c '! cloister doctor'
sysctl -q -w user.max_user_namespaces=10000

check doctor.ordinary-user-lacks-delegation su -s /bin/sh someone -c \
    'cloister doctor --json >/tmp/doctor.json; test $? = 1 && grep -A2 cgroup-memory /tmp/doctor.json | grep shortfall'

echo '|/bin/true %p' >/proc/sys/kernel/core_pattern
check doctor.core-pipe doctor_finds note core-pattern
echo core >/proc/sys/kernel/core_pattern
