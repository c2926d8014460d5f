"""How a run is divided: the plan, shards, budgets, and the engine that runs shards in processes."""
