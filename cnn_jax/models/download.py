"""Published files: from the network once, then from a cache."""

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from cnn_jax.models.extras import required

TORCHVISION = "https://download.pytorch.org/models"
CHUNK = 2**20


def checkpoints() -> Path:
    """The folder of torchvision's files, which is PyTorch's own."""
    home = os.environ.get("TORCH_HOME")
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    root = Path(home) if home else Path(cache) / "torch"
    return root.expanduser() / "hub" / "checkpoints"


def torchvision_file(name: str, *, base: str = TORCHVISION) -> Path:
    """A file of torchvision whose name ends in the beginning of its SHA-256 digest.

    Args:
        name: Such as `resnet18-f37072fd.pth`.
        base: The address of the folder that has it.

    Returns:
        Its path in the cache of PyTorch.

    Raises:
        OSError: If it is neither there nor can be fetched.
        ValueError: If its digest is another one.
    """
    path = checkpoints() / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(f"{base}/{name}", path)
    _check_digest(path, Path(name).stem.rsplit("-", 1)[1])
    return path


def _fetch(url: str, path: Path) -> None:
    """Writes a file of the network whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with (
            urllib.request.urlopen(url, timeout=60) as answer,
            os.fdopen(handle, "wb") as file,
        ):
            while chunk := answer.read(CHUNK):
                file.write(chunk)
        os.replace(name, path)
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise OSError(
            f"{url} cannot be fetched ({reason}). Without a network, fetch it "
            f"elsewhere and put it into {path.parent}, or give its path as `file` "
            "(`--weights` of `cnn-jax train`)."
        ) from error
    finally:
        Path(name).unlink(missing_ok=True)


def _check_digest(path: Path, beginning: str) -> None:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(beginning):
        raise ValueError(
            f"{path} has the SHA-256 digest {digest[:8]}…, but must have {beginning}…: "
            "it is damaged or was replaced. Remove it, and it is fetched again."
        )


def hub_file(repository: str, revision: str) -> tuple[Path, str]:
    """The `model.safetensors` of a repository of the Hugging Face hub.

    Args:
        repository: Such as `timm/resnet18.tv_in1k`.
        revision: A commit, branch or tag.

    Returns:
        Its path in the cache of the hub, and the commit that it is of.

    Raises:
        OSError: If it is neither there nor can be fetched.
        ModuleNotFoundError: If `huggingface_hub` is not installed.
    """
    hub = required("huggingface_hub", "pretrained", "weights of the Hugging Face hub")
    try:
        found = hub.hf_hub_download(repository, "model.safetensors", revision=revision)
    except OSError as error:
        reason = str(error).strip().split("\n")[0]
        raise OSError(
            f"model.safetensors of {repository} cannot be fetched ({reason}) Without a "
            "network, fetch it elsewhere and give its path as `file` (`--weights` of "
            "`cnn-jax train`)."
        ) from error
    path = Path(found)
    return path, path.parent.name  # …/snapshots/<commit>/model.safetensors
