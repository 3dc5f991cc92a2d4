"""How well targets meet their objectives, and how fast their error budgets are being spent."""

from grafana_foundation_sdk.models import dashboard

from dashboards.build.meaning import WARN
from dashboards.build.panels import series
from dashboards.build.query import Query
from dashboards.build.targets import NAMED, Targets

_BAD = {
    "availability": "target:tonwatch_target_unusable",
    "freshness": "target:tonwatch_target_outdated",
}
"""What alerts/slo.yaml averages over windows: the share of time in which an objective is missed."""


def objectives(targets: Targets) -> tuple[tuple[int, dashboard.Panel], ...]:
    """A row of panels."""
    return (
        (
            8,
            _share(
                targets,
                "availability",
                "Usable, share of a day",
                "Share of the 24 hours before in which each was in sync within the limits of"
                " readiness. It should stay above the objective. Unknown time is no miss.",
            ),
        ),
        (
            8,
            _share(
                targets,
                "freshness",
                "Fresh, share of a day",
                "Share of the 24 hours before in which each did not lag by the"
                " configured warning. It should stay above the objective. What is not known is no"
                " miss.",
            ),
        ),
        (
            8,
            series(
                "Budget burn, last hour",
                "How many times too fast the error budget of 30 days is being spent. At one it"
                " lasts the 30 days; alerts fire where it is many times that for long enough.",
                [
                    Query(
                        f"{targets.m(f'{bad}:avg1h')}\n/ (1 - scalar({_objective(targets, slo)}))",
                        f"{NAMED} {word}",
                    )
                    for (slo, bad), word in zip(_BAD.items(), ("usable", "fresh"), strict=True)
                ],
                unit="suffix:×",
                runbooks=[_burn(targets, slo) for slo in _BAD],
            ),
        ),
    )


def _share(targets: Targets, slo: str, title: str, description: str) -> dashboard.Panel:
    return series(
        title,
        description,
        [
            Query(f"1 - {targets.m(f'{_BAD[slo]}:avg1d')}", NAMED),
            Query(f"max({_objective(targets, slo)})", "objective", WARN),
        ],
        unit="percentunit",
        maximum=1,
        from_zero=False,
        runbooks=[_burn(targets, slo)],
    )


def _objective(targets: Targets, slo: str) -> str:
    return f'tonwatch:slo_target:ratio{{slo="{targets.word}-{slo}"}}'


def _burn(targets: Targets, slo: str) -> str:
    return targets.alert(f"{slo.capitalize()}Burn")
