"""The eight sides of trust, a dict in plain sight."""

from __future__ import annotations

from togi.evaluate.trust.demonstrations import DEMONSTRATIONS
from togi.evaluate.trust.fairness import FAIRNESS
from togi.evaluate.trust.privacy import PRIVACY
from togi.evaluate.trust.side import Side
from togi.evaluate.trust.stereotype import STEREOTYPE

SIDES: dict[str, Side] = {
    "stereotype": STEREOTYPE,
    "demonstrations": DEMONSTRATIONS,
    "privacy": PRIVACY,
    "fairness": FAIRNESS,
}
"""Name of a side, which is also its file's, to the side; each is independent of the others."""

TRUST_KINDS = {name: kind for side in SIDES.values() for name, kind in side.kinds.items()}
"""Every kind of task that a side brings."""
