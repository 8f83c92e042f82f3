"""From configs to runs to groups, checked before anything trains."""
