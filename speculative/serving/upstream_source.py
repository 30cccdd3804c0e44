"""The upstreams of a pool file that is read again while they serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from speculative.serving.served_arm import ServedArm
from speculative.serving.startup_probe import check_probed, probe
from speculative.serving.upstream import Upstream
from speculative.serving.upstream_spec import UpstreamPoolSpec, read_upstream_pool


class UpstreamSource:
    """Opens the upstreams that a pool file names; one that serves stays what it is, under its name.

    Args:
        spec: of the pool as it was at the start.
        environment: holds the values of the upstreams' headers.
        allow_unproven: whether body fields may be ignored.
    """

    def __init__(self, spec: UpstreamPoolSpec, environment: Mapping[str, str], allow_unproven: bool = False) -> None:
        self._spec, self._environment, self._allow_unproven = spec, environment, allow_unproven

    async def read(self, file: Path, serving: Mapping[str, ServedArm]) -> list[ServedArm]:
        """Return the upstreams of a file.

        Raises:
            ValueError: see `PoolSource.read`.
        """
        spec = read_upstream_pool(file)
        for field in ("encoder", "model"):
            if getattr(spec, field) != getattr(self._spec, field):
                raise ValueError(f"pool file {file}: {field} cannot change while the server runs: start it again")
        for arm in spec.arms:
            served = serving.get(arm.name)
            if isinstance(served, Upstream) and served.spec != arm:
                raise ValueError(
                    f"pool file {file}: arm {arm.name!r} cannot become another while it serves, since what was learned "
                    "of it stands under its name: give the new one another name"
                )
        joining = [Upstream(arm, self._environment) for arm in spec.arms if arm.name not in serving]
        try:
            check_probed(await probe(joining), self._allow_unproven, all_must_answer=True)
        except BaseException:
            await self.close(joining)
            raise
        arms = {**serving, **{arm.name: arm for arm in joining}}
        return [arms[name] for name in spec.arm_names]

    async def close(self, arms: Iterable[ServedArm]) -> None:
        """Close the connections of arms, each once its answers have ended."""
        for arm in arms:
            if isinstance(arm, Upstream):
                await arm.close()
