"""From merged counts to tables with intervals: labels, causal effects, artifact units, comparisons."""
