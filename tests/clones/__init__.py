"""TAO's repositories: where they come from, branches, patches, what is read from them."""
