"""Options for several devices and several processes, which `train` and `resume` share.

The processes are started by something else: SLURM, Open MPI, Kubernetes, or a shell.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from cnn_jax import report, training
from cnn_jax.cli.options import optional
from cnn_jax.training.processes import TIMEOUT, agree, check_shared, is_first, several


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Devices and processes.

    Args:
        devices: Devices that share each batch.
        fsdp: Devices over which weights and the optimizer's state are split.
        distributed: Trains together with the other processes that were started so.
        coordinator: Host and port of process 0; SLURM, Open MPI and Kubernetes say it.
        processes: The number of processes.
        process: The number of this one, from 0.
        timeout: Seconds without a sign of life after which a process is lost, and the
            others end with status 75.
    """

    devices: Annotated[int | None, optional("DEVICES", "all accelerators, one CPU")] = (
        None
    )
    fsdp: int = 1
    distributed: bool = False
    coordinator: Annotated[str | None, optional("HOST:PORT", "detected")] = None
    processes: Annotated[int | None, optional("PROCESSES", "detected")] = None
    process: Annotated[int | None, optional("NUMBER", "detected")] = None
    timeout: int = TIMEOUT

    def join(self) -> None:
        """Joins the other processes, before anything is computed.

        Raises:
            ValueError: If there are others by the options, but not `distributed`.
        """
        options: dict[str, Any] = {
            "coordinator": self.coordinator,
            "processes": self.processes,
            "process": self.process,
        }
        if self.distributed:
            training.initialize(**options, timeout=self.timeout)
            return
        given = [name for name, value in options.items() if value is not None]
        if given:
            raise ValueError(f"`{given[0]}` is given, but not `--distributed`.")

    def page(self, title: str) -> report.Page:
        """A page that the first process alone prints."""
        quiet = several() and not is_first()
        return report.Page(title, console=Console(highlight=False, quiet=quiet))

    def config(self, config: training.Config) -> training.Config:
        """A configuration with these devices."""
        return dataclasses.replace(config, devices=self.devices, fsdp=self.fsdp)


Options = Annotated[Cluster, tyro.conf.OmitArgPrefixes]


def shared_folder(make: Any) -> Path:
    """A folder that the first process makes, as all processes see it.

    Args:
        make: Called by the first process; returns the folder.

    Raises:
        ValueError: If the processes do not share it.
    """
    made = str(Path(make()).absolute()) if is_first() else None
    folder = Path(agree(made))
    check_shared(folder)
    return folder
