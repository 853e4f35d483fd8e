#!/usr/lib/leaderd/bin/python3
"""What /usr/bin/leaderd is."""

from leaderd.cli.main import main

main()
