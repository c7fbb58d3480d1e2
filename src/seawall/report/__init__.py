"""The duplex link between a program that uses the library and the daemon."""
