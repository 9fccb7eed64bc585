"""Tables: pure passes over ledger and rows."""
