# Input sets below a workspace: mapped mounts and overlays on an older kernel, and cgroup v2.
run_tap inputs 60 /opt/cloister/tests/test_integration_inputs
