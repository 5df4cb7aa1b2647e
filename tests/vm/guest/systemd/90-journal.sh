# For whoever looks for a reason: what the machine itself says.
check journal.no-unit-failed sh -c '! systemctl --failed --no-legend --plain | grep .'
journalctl -b --no-pager | tail -n 250
