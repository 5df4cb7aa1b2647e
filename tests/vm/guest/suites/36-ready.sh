# Sandboxes that are made before their run: a group that already has its init when a run's limits are set.
run_tap ready 60 /opt/cloister/tests/test_integration_ready
