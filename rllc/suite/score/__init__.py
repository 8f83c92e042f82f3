"""What runs are worth: stopping points, comparisons, intervals, ranking, how cells were made."""
