"""How a run is divided: plan, shards, budgets, the names of what is chosen, and the engine that runs shards."""
