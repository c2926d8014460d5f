"""Reading and editing activations while a network runs, reproducible latents, and the identity of a network."""
