"""The stand-ins fit the real packages."""
