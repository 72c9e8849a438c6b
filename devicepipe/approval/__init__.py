"""People: who may do what with a release, how they show who they are, and what their signatures come to."""
