"""Monitoring: whether new rows and their predictions differ from what a model is made for."""
