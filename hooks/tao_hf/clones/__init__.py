"""The person's clones of the TAO repositories: found, fetched, branched, patched, surveyed."""
