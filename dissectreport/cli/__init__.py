"""The command line: parse options, call the pipeline, print. Nothing heavy is imported before a command runs."""
