"""The example: fuel economy of cars in the United States. Replace it by your own problem."""
