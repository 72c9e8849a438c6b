"""Commands: parse, call, print. The only rooms that print or exit."""
