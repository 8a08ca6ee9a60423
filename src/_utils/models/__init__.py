"""What components hand on, the models among them, and the registry of these."""
