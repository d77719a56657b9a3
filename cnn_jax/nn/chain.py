"""A network is a named chain of stages that can be cut."""

from collections.abc import Callable, Mapping
from typing import Any

from flax import nnx

Stage = Callable[[Any], Any]


class Block(nnx.Module):
    """A stage whose input goes to several stages, or whose output is not its body's."""

    def ways(self) -> list[tuple[str, Stage]]:
        """The stages that read the block's input, by path below the block's own."""
        raise NotImplementedError


class Chain(nnx.Module):
    """Runs its stages one after the other, and stops or starts at any of them.

    A stage is a module, a plain function, or a record without parameters; another Chain
    is one stage too, whose own stages are addressed by a path such as `"block/conv1"`.
    What passes between two stages is one value, which may be a tuple.

    Feature maps are a cut: `net.run(x, upto="pool1")`. What follows a cut is
    `net.run(maps, after="pool1")`, so a gradient with respect to feature maps is the
    gradient of what follows them.

    Every path that `nn.summary` prints is a cut for `upto`, also inside a `Residual`,
    `Branches` or `Masked` block. What is inside a block cannot be an `after`: the rest
    of the block needs more than that one value.

    Args:
        stages: The stages by name, in the order in which they run.
        heads: More outputs, which hang on cuts: name → (after which stage, the head).

    Raises:
        TypeError: If a stage cannot be called.
        ValueError: If there are no stages, a name is empty, has a slash or a dot, or a
            head hangs on an unknown stage.

    Example:
        >>> import jax.numpy as jnp
        >>> net = Chain({"double": lambda x: 2 * x, "halve": lambda x: x / 2})
        >>> net(jnp.array(3.0)), net.run(jnp.array(3.0), upto="double")
        (Array(3., dtype=float32, ...), Array(6., dtype=float32, ...))
    """

    def __init__(
        self,
        stages: Mapping[str, Stage],
        *,
        heads: Mapping[str, tuple[str, Stage]] | None = None,
    ):
        heads = heads or {}
        if not stages:
            raise ValueError("`stages` is empty, but a Chain needs at least one.")
        check_stages({**stages, **{name: head for name, (_, head) in heads.items()}})
        # The names are kept beside the stages, for nnx.Dict sorts its keys.
        self.names = tuple(stages)
        self.stages = nnx.Dict(stages)
        self.cuts = tuple((name, cut) for name, (cut, _) in heads.items())
        self.heads = nnx.Dict({name: head for name, (_, head) in heads.items()})
        for _, cut in self.cuts:
            self.index_after(cut)

    def __call__(self, x: Any) -> Any:
        """What the last stage makes of `x`."""
        return self.run(x)

    def run(self, x: Any, *, after: str | None = None, upto: str | None = None) -> Any:
        """Runs the stages behind `after`, up to and with `upto`.

        Args:
            x: The input, or what the stage `after` gave.
            after: The stage behind which to start; at the beginning by default.
            upto: The last stage to run; the last of all by default.

        Returns:
            What the last stage that ran gave.

        Raises:
            ValueError: If there is no such stage, `after` is inside a block, or `after`
                comes behind `upto`.
        """
        steps = self.steps()
        start = 0 if after is None else self.index_after(after)
        stop, inside = (len(steps), "") if upto is None else self._located(upto)
        last = stop - 1 if inside else stop  # The last step may run in part.
        if start > last:
            raise ValueError(
                f"`after` is {after!r}, which comes behind `upto`, {upto!r}."
            )
        for _, stage in steps[start:last]:
            x = stage(x)
        return _run_inside(steps[last][1], x, inside) if inside else x

    def steps(self) -> list[tuple[str, Stage]]:
        """Every stage with its path, in order; Chains among them opened."""
        found = []
        for name in self.names:
            stage = self.stages[name]
            if isinstance(stage, Chain):
                found += [(f"{name}/{path}", inner) for path, inner in stage.steps()]
            else:
                found.append((name, stage))
        return found

    def with_heads(self, x: Any) -> dict[str, Any]:
        """The output by the name of the last stage, and every head's by its own."""
        out, done = {}, None
        for name, cut in sorted(self.cuts, key=lambda hung: self.index_after(hung[1])):
            x = self.run(x, after=done, upto=cut)
            out[name], done = self.heads[name](x), cut
        return {self.names[-1]: self.run(x, after=done), **out}

    def index_after(self, cut: str) -> int:
        """How many of `steps` have run when the stage `cut` has.

        Raises:
            ValueError: If there is no such stage, or it is inside a block.
        """
        end, inside = self._located(cut)
        if inside:
            block = cut.removesuffix(f"/{inside}")
            raise ValueError(
                f"the stage {cut!r} is inside the block {block!r}, which needs more "
                f"than this value to go on: continue after {block!r}."
            )
        return end

    def _located(self, cut: str) -> tuple[int, str]:
        """How many of `steps` it takes to reach `cut`, and its path inside the last."""
        steps = self.steps()
        found = None
        for i, (path, stage) in enumerate(steps, 1):
            if f"{path}/".startswith(f"{cut}/"):
                found = i, ""
            elif cut.startswith(f"{path}/"):
                inside = cut.removeprefix(f"{path}/")
                found = (i, inside) if inside in _paths("", stage) else found
        if found is None:
            paths = [path for path, _ in steps]
            raise ValueError(f"there is no stage {cut!r}; the stages are {paths}.")
        return found


def _parts(stage: Stage) -> list[tuple[str, Stage]]:
    """The stages directly inside a stage; a Block's body has the empty name."""
    if isinstance(stage, Chain):
        return [(name, stage.stages[name]) for name in stage.names]
    return stage.ways() if isinstance(stage, Block) else []


def _paths(name: str, stage: Stage) -> list[str]:
    """The path of a stage and of every stage inside it, at any depth."""
    inner = [path for part in _parts(stage) for path in _paths(*part)]
    return [name] * bool(name) + [f"{name}/{path}".strip("/") for path in inner]


def _run_inside(stage: Stage, x: Any, path: str) -> Any:
    """The value at `path` inside a stage whose input is `x`."""
    if not path:
        return stage(x)
    if isinstance(stage, Chain):
        return stage.run(x, upto=path)
    name, part = next(part for part in _parts(stage) if path in _paths(*part))
    return _run_inside(part, x, path.removeprefix(name).removeprefix("/"))


def check_stages(stages: Mapping[str, Stage]) -> None:
    """Refuses names that are no part of a path, and stages that cannot be called."""
    for name, stage in stages.items():
        if not isinstance(name, str) or not name or {"/", "."} & set(name):
            raise ValueError(
                f"a stage is named {name!r}, but names are text without `/` or `.`."
            )
        if not callable(stage):
            raise TypeError(f"stage {name!r} is {stage!r}, which cannot be called.")
