"""`python -m colornet` is the `colornet` command, where that is not on the path."""

from colornet.cli import main

if __name__ == "__main__":
    main()
