"""The version, in one place: the package, the command line and the status say the same."""

VERSION = "0.1.0"
