"""Devices over serial: emulators, channels, the pytest plugin, and test sessions that end in a verdict for every case.

What always holds: losing a device is noticed by event and named; every wait is bounded; a case is `passed` only when its call
phase passed, set-up and tear-down were clean, and the device said before and after that it runs the image under test.
"""
