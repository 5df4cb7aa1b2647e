# What OPERATIONS.md says after `cmake --install`, line by line: the users, the configuration, the service, a member.
commands_of() # HEADING FIRST-WORD
{
    sed -n "/^### $1\$/,/^##/p" /usr/share/doc/cloister/OPERATIONS.md | sed -n 's/^    //p' | sed -n "/^$2/,\$p"
}

# run_manual PREFIX: its commands, from standard input; a name is made of the first words.
run_manual()
{
    while read -r line <&3; do
        name=$(echo "$line" | sed -E 's/ *#.*//; s/^([a-z-]+) ([a-z][a-z-]*)?.*/\1-\2/; s/-$//')
        check "$1.$name" sh -c "$line" </dev/null
    done 3<&0
}

cp -a /proc/self/mountinfo /run/mounts-before
began=$(centiseconds)
commands_of Install systemd-sysusers | run_manual install
note "installed, started and tried by the manual's commands in $(($(centiseconds) - began)) cs"
check install.users grep -q '^frontgw:x:[0-9]*:[0-9]*:Cloister gateway:/var/lib/cloister/frontgw:' /etc/passwd
check install.gateway-is-a-member grep -q '^cloister:x:[0-9]*:.*frontgw' /etc/group
check install.as-shipped sh -c 'cmp /usr/share/cloister/cloister.conf /etc/cloister/cloister.conf &&
    [ -z "$(systemctl show --value -p DropInPaths cloister.service)" ]'
systemctl is-active cloister.service || journalctl -u cloister --no-pager
check install.enabled systemctl is-enabled cloister.service
check install.overlay-was-loaded grep -q overlay /proc/filesystems
