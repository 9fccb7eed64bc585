"""The one read side: suites, rows, tables, comparisons and what they say, from what is stored."""
