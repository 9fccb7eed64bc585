"""The figures of a report: matplotlib draws them, and each says in words what it shows."""
