"""An editor and a metric that mmke finds by the entry points in pyproject.toml."""
