# Two stages: the first builds the wheel and a virtual environment from hashed locks, the second
# contains only that environment. It runs as an unprivileged user, writes nothing to its root
# filesystem, and handles SIGTERM itself as process 1: there is no shell and no init.

FROM python:3.13-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1

WORKDIR /src
COPY requirements/ requirements/

# The build tools stay here; the shipped environment has no pip.
RUN python -m venv /build \
    && /build/bin/pip install --only-binary=:all: --require-hashes -r requirements/build.txt \
    && python -m venv --without-pip /opt/tonwatch \
    && /build/bin/pip --python /opt/tonwatch/bin/python install \
        --only-binary=:all: --require-hashes -r requirements/runtime.txt

COPY pyproject.toml README.md LICENSE ./
COPY tonwatch/ tonwatch/
COPY alerts/ alerts/
COPY dashboards/ dashboards/
COPY docs/ docs/
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /build/bin/pip --python /opt/tonwatch/bin/python install \
        --no-deps --no-index --find-links /dist tonwatch \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/tonwatch/lib


FROM python:3.13-slim

LABEL org.opencontainers.image.title="tonwatch" \
      org.opencontainers.image.description="Monitors TON liteservers, RPC providers and wallets" \
      org.opencontainers.image.licenses="Apache-2.0"

ENV PATH=/opt/tonwatch/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# The official Python image comes without bytecode, and a read-only root could never keep any:
# without this, every start would compile half of the standard library again.
RUN python -m compileall -q --invalidation-mode unchecked-hash \
        -x '/(ensurepip|idlelib|site-packages|test|turtledemo)/' /usr/local/lib/python3.*

COPY --from=build /opt/tonwatch/ /opt/tonwatch/

USER 65532:65532
WORKDIR /
EXPOSE 9717
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["tonwatch", "healthcheck"]

ENTRYPOINT ["tonwatch"]
CMD ["run"]
