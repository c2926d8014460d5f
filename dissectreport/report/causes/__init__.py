"""The pages of interventions: an overview, and sections on the pages of studied concepts and of units."""
