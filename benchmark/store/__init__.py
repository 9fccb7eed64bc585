"""Objects by content key, rows by key, and the ledger of labels. The truth is here."""
