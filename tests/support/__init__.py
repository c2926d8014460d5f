"""What several test modules share: example dissections, sites, browsers, servers, oracles and tiny checkpoints."""
