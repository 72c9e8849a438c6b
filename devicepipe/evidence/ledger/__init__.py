"""The transparency log: entries that nobody can alter, drop or reorder without being found (RFC 6962, C2SP tlog)."""
