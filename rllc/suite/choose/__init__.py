"""Hyperparameters from tuning records: the rule, screens, and what choosing early costs."""
