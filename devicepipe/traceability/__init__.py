"""Items, links and the matrix."""
