"""What passes leave behind for the analysis: frozen dataclasses, each of which alone knows how it is stored."""
