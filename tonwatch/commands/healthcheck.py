"""``tonwatch healthcheck``: query /live of the daemon on this machine."""

import argparse
import http.client
import sys

from tonwatch.commands.options import OK, PROBLEM, Loading
from tonwatch.config import hosts


def command(options: argparse.Namespace, loading: Loading) -> int:
    """Plain `http.client`: a container runtime starts this every few seconds."""
    serve = loading.load(options).serve
    if serve.port == 0:
        print(
            "tonwatch healthcheck: with serve.port 0 the daemon takes any free port, which is not"
            " known here; choose one",
            file=sys.stderr,
        )
        return PROBLEM
    try:
        listening = hosts.listened_on(serve.host, serve.port)
    except OSError as error:
        place = f"serve.host {serve.host}"
        print(f"tonwatch healthcheck: {place}: {error.strerror}", file=sys.stderr)
        return PROBLEM
    failures = []
    for _, name in listening:
        address, port = hosts.reached_at(name)
        connection = http.client.HTTPConnection(address, port, timeout=3)
        try:
            connection.request("GET", "/live")
            response = connection.getresponse()
            text = response.read(200).decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{hosts.authority(address, port)}: {error}")
            if isinstance(error, TimeoutError):
                break  # its other addresses would hang too
            continue
        finally:
            connection.close()
        print(text)
        return OK if response.status == http.client.OK else PROBLEM
    print(f"tonwatch healthcheck: no answer from {'; '.join(failures)}", file=sys.stderr)
    return PROBLEM
