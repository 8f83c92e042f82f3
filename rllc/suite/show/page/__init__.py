"""A static page of a study: verdict, table, curves, maps and ranking, from records alone."""
