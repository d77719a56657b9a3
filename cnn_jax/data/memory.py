"""Memory that is free, and what would take more of it."""

from pathlib import Path

import psutil

LIMITS = (  # Where Linux says how much memory a container may use.
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def container_limits() -> list[int]:
    """The bytes that the container of this process may use, if it is in one."""
    texts = [path.read_text().strip() for path in LIMITS if path.is_file()]
    return [int(text) for text in texts if text.isdecimal()]


def free_memory() -> int:
    """The bytes that this process can still take without another giving up theirs."""
    used = psutil.Process().memory_info().rss
    inside = [limit - used for limit in container_limits()]
    return max(0, min([psutil.virtual_memory().available, *inside]))


def check_memory(name: str, needed: int | float, remedy: str, *, free: int) -> None:
    """Refuses what takes more memory than is free, before any of it is taken.

    Args:
        name: What takes it.
        needed: An estimate in bytes.
        remedy: What takes less.
        free: The bytes that are free.

    Raises:
        ValueError: If `needed` is larger than `free`.
    """
    if needed > free:
        raise ValueError(
            f"{name} would take about {_gigabytes(needed)} of memory, but "
            f"{_gigabytes(free)} are free: {remedy}."
        )


def _gigabytes(count: int | float) -> str:
    return f"{count / 1e9:,.0f} GB" if 1e11 < count < 1e15 else f"{count / 1e9:.3g} GB"
