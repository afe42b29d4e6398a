"""The LanceDB index: schema and manifest, build, search, upkeep, exact matrix."""
