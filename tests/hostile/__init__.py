"""Commands and calls that must end in one line that helps: no traceback, no silence."""
