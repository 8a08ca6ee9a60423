"""Functions that the components and main.py share: the machinery, and apart from it the example."""
