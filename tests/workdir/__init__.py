"""Records, the ledger, staging and merging."""
