# syntax=docker/dockerfile:1
# One image for every command of `cardiosentry`; docker-compose.yml says which service runs which. docs/deploy.md

# The scanners of Gate 1, as `make tools` builds them.
FROM golang:1.25.12-bookworm@sha256:ff9e030304cfc5556e49861e65b81e0f498158b99db201e00dc43a45e495e7ff AS scanners
ARG GITLEAKS=8.30.1
ARG OSV_SCANNER=1.9.2
ENV GOBIN=/scanners CGO_ENABLED=0
RUN go install -trimpath -ldflags "-s -w -X github.com/zricethezav/gitleaks/v8/version.Version=${GITLEAKS}" \
      "github.com/zricethezav/gitleaks/v8@v${GITLEAKS}" \
 && go install -trimpath -ldflags "-s -w" "github.com/google/osv-scanner/cmd/osv-scanner@v${OSV_SCANNER}"

# What is installed: wheels alone, each by its hash, so that nothing is compiled and nothing else is taken.
FROM python:3.11.16-slim-bookworm@sha256:0bee7276f83efd4a1ee05bbbf4281d95ed28e079220a9457f25a93e3f1e3c31b AS build
WORKDIR /build
COPY requirements-uv.lock requirements-image.lock ./
RUN python -m venv /uv \
 && /uv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-uv.lock \
 && python -m venv --without-pip /opt/cardiosentry \
 && /uv/bin/uv pip install --no-cache --python /opt/cardiosentry/bin/python --only-binary :all: --compile-bytecode \
      --require-hashes -r requirements-image.lock
COPY . .
RUN /uv/bin/uv build --no-cache --wheel --no-build-isolation --python /opt/cardiosentry/bin/python --out-dir dist \
 && /uv/bin/uv pip install --no-cache --python /opt/cardiosentry/bin/python --no-deps --compile-bytecode dist/*.whl

FROM python:3.11.16-slim-bookworm@sha256:0bee7276f83efd4a1ee05bbbf4281d95ed28e079220a9457f25a93e3f1e3c31b
ARG REVISION=unknown
LABEL org.opencontainers.image.title="CardioSentry" \
      org.opencontainers.image.description="Streaming inference and security monitoring for a heart-disease model on Kafka" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=scanners /scanners /usr/local/bin
COPY --from=build /opt/cardiosentry /opt/cardiosentry
# What `rescan` and `retrain` scan: the code and locks that run here.
COPY . /usr/share/cardiosentry
# Where the commands look for keys, store, state and runs unless they are told otherwise.
WORKDIR /var/lib/cardiosentry
ENV PATH=/opt/cardiosentry/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["cardiosentry"]
CMD ["serve"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
  CMD ["cardiosentry", "health", "http://127.0.0.1:6066/health/live"]
