"""The phantom: patients computed by a recipe, and the layouts of native sets to write them in."""
