"""Signers by URI, development keys and MCUboot images."""
