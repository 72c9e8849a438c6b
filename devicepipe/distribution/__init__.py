"""Publication: the TUF repository that releases are published in, and the client that fetches them."""
