"""A network is a named chain of stages that can be cut."""

from collections.abc import Callable, Mapping
from typing import Any

from flax import nnx

Stage = Callable[[Any], Any]


class Block(nnx.Module):
    """A stage with branches, which all read its input, and a join of their outputs.

    block(x) = join(x, branch1(x), branch2(x), …)
    """

    def __call__(self, x: Any) -> Any:
        """Runs the branches and joins their outputs."""
        return self.join(x, *(branch(x) for _, branch in self.named_branches()))

    def named_branches(self) -> list[tuple[str, Stage]]:
        """Every branch with its path relative to the block; "" is the block's own."""
        raise NotImplementedError

    def join(self, x: Any, *outputs: Any) -> Any:
        """The output of the block, from its input and the outputs of its branches."""
        raise NotImplementedError


class Chain(nnx.Module):
    """Runs its stages in order, and can start after or stop at any of them.

    A stage is a module, a plain function, or a record without parameters. Another Chain
    is one stage too; its stages have paths such as `"block/conv1"`. One value passes
    between two stages; it may be a tuple.

    Feature maps are a cut: `net.run(x, upto="pool1")`. `net.run(maps, after="pool1")`
    runs the stages after a cut, so its gradient is the gradient with respect to the
    feature maps.

    Every path that `nn.summary` prints is a cut for `upto`, also inside a `Residual`,
    `Branches` or `Masked` block. A path inside a block cannot be an `after`: the rest
    of the block needs more than that one value.

    Args:
        stages: The stages by name, in the order in which they run.
        heads: Further outputs: name → (the stage whose output the head reads, head).

    Raises:
        TypeError: If a stage is not callable.
        ValueError: If `stages` is empty, a name is empty or contains `/` or `.`, or a
            head reads the output of an unknown stage.

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
            raise ValueError("`stages` is empty, but a Chain needs at least one stage.")
        check_stages({**stages, **{name: head for name, (_, head) in heads.items()}})
        # The names are stored beside the stages because nnx.Dict sorts its keys.
        self.names = tuple(stages)
        self.stages = nnx.Dict(stages)
        self.cuts = tuple((name, cut) for name, (cut, _) in heads.items())
        self.heads = nnx.Dict({name: head for name, (_, head) in heads.items()})
        for _, cut in self.cuts:
            self.index_after(cut)

    def __call__(self, x: Any) -> Any:
        """Runs all stages on `x`."""
        return self.run(x)

    def run(self, x: Any, *, after: str | None = None, upto: str | None = None) -> Any:
        """Runs the stages after `after`, up to and including `upto`.

        Args:
            x: The input of the network, or the output of the stage `after`.
            after: The last stage to skip; by default none is skipped.
            upto: The last stage to run; by default the last of the network.

        Returns:
            The output of the last stage that ran.

        Raises:
            ValueError: If there is no such stage, `after` is inside a block, or `after`
                comes after `upto`.
        """
        steps = self.steps()
        start = 0 if after is None else self.index_after(after)
        stop, inside = (len(steps), "") if upto is None else self._locate(upto)
        last = stop - 1 if inside else stop  # The last step may run in part.
        if start > last:
            raise ValueError(
                f"`after` is {after!r}, which comes after `upto`, {upto!r}: exchange "
                "the two, or choose a later `upto`."
            )
        for _, stage in steps[start:last]:
            x = stage(x)
        return _run_inside(steps[last][1], x, inside) if inside else x

    def steps(self) -> list[tuple[str, Stage]]:
        """Every stage with its path, in order; stages that are Chains are opened."""
        found = []
        for name in self.names:
            stage = self.stages[name]
            if isinstance(stage, Chain):
                found += [(f"{name}/{path}", inner) for path, inner in stage.steps()]
            else:
                found.append((name, stage))
        return found

    def with_heads(self, x: Any) -> dict[str, Any]:
        """The outputs of the last stage and of every head, by name."""
        outputs, done = {}, None
        for name, cut in sorted(self.cuts, key=lambda item: self.index_after(item[1])):
            x = self.run(x, after=done, upto=cut)
            outputs[name], done = self.heads[name](x), cut
        return {self.names[-1]: self.run(x, after=done), **outputs}

    def index_after(self, cut: str) -> int:
        """The index in `steps` of the first step after the stage `cut`.

        Raises:
            ValueError: If there is no such stage, or it is inside a block.
        """
        index, inside = self._locate(cut)
        if inside:
            block = cut.removesuffix(f"/{inside}")
            raise ValueError(
                f"the stage {cut!r} is inside the block {block!r}, which needs more "
                f"than this value to continue: continue after {block!r}."
            )
        return index

    def _locate(self, cut: str) -> tuple[int, str]:
        """The index of the first step after `cut`, and its path inside a block."""
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


def _children(stage: Stage) -> list[tuple[str, Stage]]:
    """The stages directly inside a stage; a Block's body has the empty name."""
    if isinstance(stage, Chain):
        return [(name, stage.stages[name]) for name in stage.names]
    return stage.named_branches() if isinstance(stage, Block) else []


def _paths(name: str, stage: Stage) -> list[str]:
    """The path of a stage and of every stage inside it, at any depth."""
    inner = [path for child in _children(stage) for path in _paths(*child)]
    return [name] * bool(name) + [f"{name}/{path}".strip("/") for path in inner]


def _run_inside(stage: Stage, x: Any, path: str) -> Any:
    """The output of the stage at `path` inside a stage with input `x`."""
    if not path:
        return stage(x)
    if isinstance(stage, Chain):
        return stage.run(x, upto=path)
    children = _children(stage)
    name, child = next(child for child in children if path in _paths(*child))
    return _run_inside(child, x, path.removeprefix(name).removeprefix("/"))


def check_stages(stages: Mapping[str, Stage]) -> None:
    """Refuses names that cannot be part of a path, and stages that are not callable."""
    for name, stage in stages.items():
        if not isinstance(name, str) or not name or {"/", "."} & set(name):
            raise ValueError(
                f"a stage is named {name!r}, but a name must be a non-empty string "
                "without `/` or `.`."
            )
        if not callable(stage):
            raise TypeError(
                f"stage {name!r} is {stage!r}, which is not callable: give a module, a "
                "function or a record."
            )
