"""Policies put together, named, registered and explained."""
