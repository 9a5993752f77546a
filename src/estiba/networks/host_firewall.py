"""The host's own packet filter: what it denies, Estiba must not open by the back door."""

from __future__ import annotations

from collections.abc import Sequence

from estiba.errors import Conflict
from estiba.linux import nftables
from estiba.linux.nftables import BaseChain


class PassesFirewallBy(Conflict):
    def __init__(self, chain: BaseChain) -> None:
        super().__init__(
            f"the host denies what it does not allow (chain {chain.name} of the table {chain.family} {chain.table}), "
            "but a published port is passed on to a container, so that rule would never see it",
            remedy="Publish on 127.0.0.1, or add a chain of the hook forward that says what may be passed on.",
        )


def check_publishing(*, own_table: str) -> None:
    """Accept that a port is published to others than this host.

    A translated packet passes the hook forward and not the hook input. So a host that denies by default in input and
    says nothing about forward means to be closed, and would be open: that is refused. Where the host has a forward
    chain, it decides.

    Raises:
        PassesFirewallBy: the host's rules would be passed by.
    """
    chain = passed_by(nftables.base_chains(), own_table=own_table)
    if chain is not None:
        raise PassesFirewallBy(chain)


def passed_by(chains: Sequence[BaseChain], *, own_table: str) -> BaseChain | None:
    """The input chain with policy drop that published ports would pass by, or None; pure."""
    others = [chain for chain in chains if chain.table != own_table and chain.family in ("ip", "inet")]
    denying = [chain for chain in others if chain.hook == "input" and chain.drops]
    forward = [chain for chain in others if chain.hook == "forward" and not _is_estibas(chain)]
    return denying[0] if denying and not forward else None


def forward_denials(chains: Sequence[BaseChain]) -> tuple[BaseChain, ...]:
    """The chains of others that drop what is passed on unless they allow it; pure."""
    found = [chain for chain in chains if chain.hook == "forward" and chain.drops and not _is_estibas(chain)]
    return tuple(chain for chain in found if chain.family in ("ip", "inet"))


def _is_estibas(chain: BaseChain) -> bool:
    return chain.table == "estiba" or chain.table.startswith("est-")
