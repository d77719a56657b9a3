"""The verdict and the figures behind it."""

import dataclasses
from typing import Literal

import numpy as np

from cnn_jax.locality.statistics import Interval

ALPHA = 0.02  # The largest p-value of a claim.
Verdict = Literal[
    "order carries what a CNN can use", "it does not", "not enough data to say"
]
CARRIES, DOES_NOT, NOT_ENOUGH = Verdict.__args__
HEADLINES: dict[str, str] = {
    CARRIES: "Order carries what a CNN can use",
    DOES_NOT: "Order carries nothing that a CNN could use",
    NOT_ENOUGH: "There are not enough data to say what order carries",
}


@dataclasses.dataclass(frozen=True, eq=False)  # Equal only to itself: it has arrays.
class Report:
    """The result of `locality.test`.

    Args:
        verdict: In words; see `test` for the rule.
        p: The p-value of the true order.
        rule: Its test: the `rank` among permuted orders, or a `t` test.
        effect: Accuracy in the true order minus accuracy in other orders, as a
            fraction, with its 90 % interval.
        accuracy: Of each method on each split.
        permuted: Accuracy of the network in each permuted order, on the first splits.
        true: Its accuracy in the true order on these splits.
        rival: The most accurate method besides the network.
        lead: Accuracy of the network minus that of the rival, with its 95 % interval.
        similar: As `effect`, for columns in the order of their similarity.
        similar_p: Its p-value.
        needed: The number of rows that would decide, where the data do not.
        notes: Changes to the data.
    """

    verdict: Verdict
    p: float
    rule: Literal["rank", "t"]
    effect: Interval
    accuracy: dict[str, np.ndarray]
    permuted: np.ndarray
    true: float
    rival: str | None = None
    lead: Interval | None = None
    similar: Interval | None = None
    similar_p: float | None = None
    needed: int | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.headline()}.", self.reason(), *self.advice()]
        return "\n".join([*lines, *(f"Note: {note}." for note in self.notes)])

    def headline(self) -> str:
        """How far the network is from its best rival, if it is shown; and the verdict.

        The distance comes first, because it answers whether to use a CNN, whatever the
        order carries.
        """
        verdict = HEADLINES[self.verdict]
        if self.lead is None or self.lead.low <= 0 <= self.lead.high:
            return verdict
        side = "ahead of" if self.lead.mean > 0 else "behind"
        distance = f"{abs(100 * self.lead.mean):.1f} points {side} {self.rival}"
        return f"A CNN is {distance}. {verdict}"

    def reason(self) -> str:
        """The figures behind the verdict."""
        tests = {"rank": f"rank among {len(self.permuted)} other orders", "t": "t test"}
        return (
            "The accuracy of a CNN in the true order exceeds that in other orders by "
            f"{self.effect}; p = {self.p:.3f} ({tests[self.rule]})."
        )

    def advice(self) -> list[str]:
        """Recommendations, in words."""
        lines = []
        if self.needed is not None:
            lines.append(f"About {self.needed:,} rows would decide it.")
        if self.lead is not None:
            ahead, behind = self.lead.low > 0, self.lead.high < 0
            verb = "beats" if ahead else "loses to" if behind else "equals"
            lines.append(f"The CNN {verb} the best rival, {self.rival}: {self.lead}.")
        if self.similar is not None and self.similar_p is not None:
            helps = "helps" if self.similar_p <= ALPHA else "does not help"
            lines.append(
                f"Placing similar columns side by side {helps}: {self.similar}; p = "
                f"{self.similar_p:.3f}."
            )
        return lines


def decide(p: float, effect: Interval, margin: float) -> Verdict:
    """The rule of `test`, from a p-value and the 90 % interval of the effect."""
    if p <= ALPHA:
        return CARRIES
    return DOES_NOT if -margin < effect.low and effect.high < margin else NOT_ENOUGH
