"""Families of published generators: networks in plain torch, recognised from their checkpoints."""
