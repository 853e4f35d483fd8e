"""`python -m leaderd` is `leaderd`."""

from leaderd.cli.main import main

if __name__ == "__main__":
    main()
