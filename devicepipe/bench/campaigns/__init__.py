"""Fault-injection campaigns: thousands of short runs of an emulated device, in parallel, each repeatable by its number."""
