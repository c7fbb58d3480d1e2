"""`seawall.toml`: read, checked as a whole, and turned into the parts it describes."""
