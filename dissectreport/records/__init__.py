"""The results of passes, as the analysis reads them: frozen dataclasses that define how they are stored."""
