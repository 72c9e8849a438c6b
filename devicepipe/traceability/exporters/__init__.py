"""Exporters: items into the files of other tools."""
