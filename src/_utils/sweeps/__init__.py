"""Sweeps: their jobs, how far they are, which was best, and other machines for them."""
