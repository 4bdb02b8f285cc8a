"""Where Python code runs: the local interpreter and the TAO containers behind one interface."""
