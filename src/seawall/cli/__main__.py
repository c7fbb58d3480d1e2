"""`python -m seawall.cli` is the same as `seawall`."""

from seawall.cli import main

if __name__ == "__main__":
    main()
