# The verdict table on cgroup v2. Rows wait more than they compute: more of them at a time than processors.
run_lines verdicts 100 /opt/cloister/verdicts/run.py --build /opt/cloister --jobs 4 --brief
