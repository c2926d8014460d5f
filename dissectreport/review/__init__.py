"""Files that people export from pages: units marked by eye, and blind preferences."""
