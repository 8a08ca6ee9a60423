"""The machinery behind main.py: from the command line to the summary."""
