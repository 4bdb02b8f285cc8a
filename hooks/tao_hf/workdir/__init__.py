"""The working directory's own records: what was generated, what is in the ledger, what waits to be merged."""
