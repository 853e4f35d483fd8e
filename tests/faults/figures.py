"""What the fault tests measure; printed when all tests are done."""

FIGURES: list[str] = []


def figure(text: str) -> None:
    """Note one line for the end of the run."""
    FIGURES.append(text)
