"""Devices over serial: emulated devices, the pytest plugin, sessions and their verdicts."""
