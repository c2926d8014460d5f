"""Reports in other forms: a single file, a notebook, and the dissect.json of the reference program."""
