# Outside of any sandbox, the probes see an escape on this kernel too.
check control.probes /opt/cloister/security/run.py --build /opt/cloister --way control
