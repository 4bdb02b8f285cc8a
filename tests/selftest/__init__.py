"""The test of a generated model: its steps, gates, report and playbook."""
