"""What all pages share: the model being shown, its wording, its tables and the options of the site."""
