"""What a report reads: cells of the ledger, rows in bulk, records of trainings, probes."""
