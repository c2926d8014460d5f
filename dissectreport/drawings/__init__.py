"""The embedded data sets: scenes and rooms drawn by program, with exact labels."""
