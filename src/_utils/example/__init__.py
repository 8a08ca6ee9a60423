"""The example: fuel economy of cars in the United States. Replace it with your own problem."""
