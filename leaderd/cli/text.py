"""Text for a terminal."""


def printable(text: str) -> str:
    """Return the text with whatever would make two lines of it, or move the cursor, as an escape.

    Names and reasons may come from etcd, where anybody may have written them.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
