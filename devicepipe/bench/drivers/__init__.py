"""Drivers of real devices: how one's flash is written, how it is reset, how its power is switched."""
