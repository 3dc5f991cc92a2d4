"""Which representation a request prefers: Accept and Accept-Encoding (RFC 9110)."""


def prefers_page(accept: str) -> bool:
    """Whether to answer with HTML. Browsers name ``text/html``; programs send ``*/*`` alone."""
    weights = _weights(accept)
    html = max(weights.get("text/html", 0.0), weights.get("application/xhtml+xml", 0.0))
    json = max(weights.get("application/json", 0.0), weights.get("application/health+json", 0.0))
    return html > 0 and html >= json


def takes_gzip(accept_encoding: str) -> bool:
    """Whether the response may be gzipped."""
    weights = _weights(accept_encoding)
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weights(header: str) -> dict[str, float]:
    weights = {}
    for part in header.lower().split(","):
        value, *parameters = (piece.strip() for piece in part.split(";"))
        weights[value] = _quality(parameters)
    return weights


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter.removeprefix("q="))
            except ValueError:
                return 0.0
    return 1.0
