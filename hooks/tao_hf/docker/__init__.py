"""The containers: a Docker engine, the TAO images prepared on it, and what runs in them."""
