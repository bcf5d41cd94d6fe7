"""What the owner of a Task may pass on: of the package that it was given, what the first requester owns (access.md)."""

from dataclasses import dataclass
from typing import Any

from app.interactions.links import local_key, read_content
from app.interactions.unit import Unit
from app.referral.provision import read_purposes
from app.referral.root import literals_at
from app.referral.sub_referral import closes_sub_referrals
from app.referral.transitions import TERMINAL
from app.store.rows import Key, Stored

Resource = dict[str, Any]

FARTHEST = 16
"""Tasks above one another that are followed at most: a circle ends somewhere."""


@dataclass(frozen=True, slots=True)
class Loan:
    """``chain`` leads from the Task that a sub-referral is part of to the first requester's.

    ``lent`` is what the sub-referral's organisation reads because of the former. ``open`` is False once there is
    nothing to pass on; ``ending`` says that the former was completed, and so is readable for a time only.
    """

    chain: tuple[Stored, ...]
    lent: frozenset[Key]
    purposes: frozenset[str]
    open: bool
    ending: bool

    @property
    def parent(self) -> Stored:
        return self.chain[0]

    @property
    def root(self) -> Stored:
        return self.chain[-1]

    @property
    def requester(self) -> str:
        """The organisation whose referral it is."""
        return self.root.owner_org

    def offers(self, stored: Stored) -> bool:
        """Whether a resource is lent: the first requester's own, and in the package that was given.

        A Task is not: it tells who was asked, and what that one answered.
        """
        own = stored.owner_org == self.requester and stored.type != "Task"
        return self.open and own and stored.key in self.lent


async def find_loan(unit: Unit, task: Resource, holder: str, referral: str | None = None) -> Loan | None:
    """What a Task of this organisation may pass on; None where it is part of none that was given to it.

    With ``referral`` only where the two belong to the same: one that was made before it could be passed on does not.
    """
    chain = await climb(unit, task, holder)
    if not chain or referral not in (None, chain[0].referral):
        return None
    parent, contents = chain[0], [read_task(each) for each in chain]
    lent = await unit.session.find_package(parent.id, holder)
    status = str(contents[0].get("status"))
    ended = status in TERMINAL
    closed = closes_sub_referrals(contents[0]) or (ended and lent <= {parent.key})
    purposes = frozenset().union(*map(read_purposes, contents))
    return Loan(tuple(chain), frozenset(lent), purposes, not closed, ended)


async def climb(unit: Unit, task: Resource, holder: str) -> list[Stored]:
    """The Task that this one is part of where another organisation gave it to the holder, then what that is part of."""
    chain: list[Stored] = []
    while len(chain) < FARTHEST and "partOf" in task:
        keys = [key for each in literals_at(task.get("partOf")) if (key := local_key(each, unit.hub.base_url))]
        rows = await unit.session.find_rows(keys)
        given = [rows[key] for key in keys if key in rows and rows[key].type == "Task"]
        parent = next((each for each in given if each.assigned_org == holder != each.owner_org), None)
        if parent is None:
            break
        chain.append(parent)
        task, holder = read_task(parent), parent.owner_org
    return chain


def read_task(row: Stored) -> Resource:
    """The content of a Task; nothing of one that was deleted."""
    return {} if row.deleted else read_content(row)
