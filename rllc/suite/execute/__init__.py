"""Groups trained here, through submitit, within a budget; whole studies."""
