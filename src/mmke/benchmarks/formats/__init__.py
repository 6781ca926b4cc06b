"""File formats: one record of a file -> our own names. Foreign field names stop here."""
