"""The pages of interventions: an overview, one page for each studied concept, and a section on each unit page."""
