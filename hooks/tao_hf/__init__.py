"""Host-side and in-container code of tao-hf-template: the host side needs the standard library alone."""
