"""Functions on tables, any tables: reading files, rows added to others."""
