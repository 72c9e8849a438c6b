"""The stage graph: what needs what, run in parallel, with progress; one release."""
