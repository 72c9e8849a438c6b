"""Importers: items from the files of other tools."""
