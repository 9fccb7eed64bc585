"""CT volumes: what they are, how they are read, and how they become slices for the trainer."""
