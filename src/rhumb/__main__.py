"""`python -m rhumb`: the command line."""

from rhumb.cli.main import main

if __name__ == "__main__":
    main()
