"""Tables, plots and text of what was measured."""
