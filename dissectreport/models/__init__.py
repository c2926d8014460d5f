"""What a generator is, and one module for each family of generators."""
