"""What is wrong with a case: checks of a volume, of its intensities and of its anatomy."""
