"""What methods are built of: networks, similarity, objectives, views. Pure torch, no disk."""
