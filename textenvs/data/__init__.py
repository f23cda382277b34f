"""Examples, where they come from: the built-in world, and files in the field's formats."""
