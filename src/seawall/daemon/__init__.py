"""Puts the parts together for `seawall up`."""
