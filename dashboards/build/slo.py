"""How well targets meet their objectives, and how fast their error budgets are being spent."""

from grafana_foundation_sdk.models import dashboard

from dashboards.build.meaning import WARN
from dashboards.build.panels import series
from dashboards.build.query import Query
from dashboards.build.targets import NAMED, Targets


def objectives(targets: Targets) -> tuple[tuple[int, dashboard.Panel], ...]:
    """A row of panels; what they show is recorded by alerts/slo.yaml."""
    burn = f"Tonwatch{targets.word.capitalize()}"
    unusable = "target:tonwatch_target_unusable"
    outdated = "target:tonwatch_target_outdated"
    availability, freshness = (
        f'tonwatch:slo_target:ratio{{slo="{targets.word}-{of}"}}'
        for of in ("availability", "freshness")
    )
    return (
        (
            8,
            series(
                "Usable, share of a day",
                "Share of the 24 hours before in which each was in sync within the limits of"
                " readiness. It should stay above the objective.",
                [
                    Query(f"1 - {targets.m(f'{unusable}:avg1d')}", NAMED),
                    Query(f"max({availability})", "objective", WARN),
                ],
                unit="percentunit",
                maximum=1,
                from_zero=False,
                runbooks=[f"{burn}AvailabilityBurn"],
            ),
        ),
        (
            8,
            series(
                "Fresh, share of a day",
                "Share of the 24 hours before in which each was not behind the head by the"
                " configured warning. It should stay above the objective.",
                [
                    Query(f"1 - {targets.m(f'{outdated}:avg1d')}", NAMED),
                    Query(f"max({freshness})", "objective", WARN),
                ],
                unit="percentunit",
                maximum=1,
                from_zero=False,
                runbooks=[f"{burn}FreshnessBurn"],
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
                        f"{targets.m(f'{unusable}:avg1h')}\n/ (1 - scalar({availability}))",
                        f"{NAMED} availability",
                    ),
                    Query(
                        f"{targets.m(f'{outdated}:avg1h')}\n/ (1 - scalar({freshness}))",
                        f"{NAMED} freshness",
                    ),
                ],
                unit="suffix: ×",
                runbooks=[f"{burn}AvailabilityBurn", f"{burn}FreshnessBurn"],
            ),
        ),
    )
