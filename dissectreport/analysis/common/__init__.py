"""Intervals and distributions that every analysis uses: jackknife, balanced halves, Student's t."""
