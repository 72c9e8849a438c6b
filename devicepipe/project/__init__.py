"""devicepipe.toml and board manifests as typed values."""
