"""Adapters for other libraries, one file each; none is imported with seawall, and each names the extra it needs."""
