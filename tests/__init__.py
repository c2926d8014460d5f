"""The tests of dissectreport."""
