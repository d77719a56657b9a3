"""Which errors are the system's, and which say something about a file."""

import errno

import pytest

from cnn_jax.data.errors import SYSTEM, raise_if_system

FULL = OSError(errno.ENOSPC, "No space left on device")
MISSING = FileNotFoundError(errno.ENOENT, "No such file")
TENSORSTORE = "Error writing \"a/b\" [os_error_code='28' in file.cc]"


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "codes", "raised"),
    [
        (FULL, None, OSError),
        (caused(ValueError("unreadable"), FULL), None, OSError),
        (ValueError(TENSORSTORE), None, OSError),
        (OSError("without a number"), None, OSError),
        (caused(ValueError("unreadable"), MemoryError()), SYSTEM, MemoryError),
        (OSError(errno.EMFILE, "Too many open files"), SYSTEM, OSError),
        (FULL, SYSTEM, None),
        (MISSING, None, None),
        (FileNotFoundError("without a number"), None, None),
        (caused(ValueError("unreadable"), MISSING), None, None),
        (ValueError("unreadable"), None, None),
    ],
)
def test_errors_of_the_system_are_raised(error, codes, raised):
    if raised is None:
        assert raise_if_system(error, codes=codes) is None
    else:
        with pytest.raises(raised):
            raise_if_system(error, codes=codes)
