"""Attestations, the bundle and its verification."""
