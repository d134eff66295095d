"""The eight sides of trust, a dict in plain sight."""

from __future__ import annotations

from togi.evaluate.trust.adversarial import ADVERSARIAL
from togi.evaluate.trust.demonstrations import DEMONSTRATIONS
from togi.evaluate.trust.ethics import ETHICS
from togi.evaluate.trust.fairness import FAIRNESS
from togi.evaluate.trust.out_of_distribution import OUT_OF_DISTRIBUTION
from togi.evaluate.trust.privacy import PRIVACY
from togi.evaluate.trust.side import Side
from togi.evaluate.trust.stereotype import STEREOTYPE
from togi.evaluate.trust.toxicity import TOXICITY

SIDES: dict[str, Side] = {
    "toxicity": TOXICITY,
    "stereotype": STEREOTYPE,
    "demonstrations": DEMONSTRATIONS,
    "privacy": PRIVACY,
    "ethics": ETHICS,
    "fairness": FAIRNESS,
    "adversarial": ADVERSARIAL,
    "out_of_distribution": OUT_OF_DISTRIBUTION,
}
"""Name of a side, which is also its file's, to the side; each is independent of the others."""

TRUST_KINDS = {name: kind for side in SIDES.values() for name, kind in side.kinds.items()}
"""Every kind of task that a side brings."""
