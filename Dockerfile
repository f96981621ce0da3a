# Build the wheel apart, so that the image has no compiler, no pip cache and no source tree.
FROM python:3.13-slim AS build
WORKDIR /src
# The commit, shown by cdr_exporter_build_info: --build-arg REVISION=$(git rev-parse HEAD)
ARG REVISION=unknown
COPY deploy/revision_hook.py deploy/requirements.txt deploy/requirements-build.txt deploy/
COPY pyproject.toml README.md LICENSE exporter.yml ./
COPY cdr_exporter cdr_exporter
COPY pbx_simulator pbx_simulator
COPY grafana/dashboards grafana/dashboards
COPY prometheus prometheus
# Every package by its hash: `make requirements` writes them.
RUN pip install --no-cache-dir --require-hashes -r deploy/requirements-build.txt \
 && CDR_EXPORTER_REVISION=$REVISION python -m build --no-isolation --wheel --outdir /wheel \
 && python -m venv /opt/cdr-exporter \
 && /opt/cdr-exporter/bin/pip install --no-cache-dir --no-compile \
      --require-hashes -r deploy/requirements.txt \
 && /opt/cdr-exporter/bin/pip install --no-cache-dir --no-compile --no-deps /wheel/*.whl \
 && /opt/cdr-exporter/bin/pip uninstall --yes pip

FROM python:3.13-slim
ARG REVISION=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.title="cdr-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the call detail records of Yeastar P-Series PBXs" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /opt/cdr-exporter /opt/cdr-exporter
COPY deploy/healthcheck.sh /opt/cdr-exporter/bin/
# A fixed user, so that a volume's owner is known beforehand: chown 10088:10088.
RUN groupadd --system --gid 10088 cdr \
 && useradd --system --uid 10088 --gid cdr --no-create-home --home-dir /state --shell /usr/sbin/nologin cdr \
 && install -d -o cdr -g cdr -m 0700 /state
# Nothing is written but /state, so that `docker run --read-only` works; temporary files go there too.
ENV PATH=/opt/cdr-exporter/bin:$PATH \
    TMPDIR=/state \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CDR_EXPORTER_HEALTH_URL=http://127.0.0.1:10088/-/healthy \
    CDR_EXPORTER_DEMO_LISTEN_ADDRESS=:10088
USER 10088:10088
WORKDIR /state
VOLUME /state
EXPOSE 10088
STOPSIGNAL SIGTERM
# Who gives another --web.listen-address sets CDR_EXPORTER_HEALTH_URL to it as well.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["healthcheck.sh"]
# To look at it: docker run --rm -p 10088:10088 IMAGE demo
# Configure with: -v ./exporter.yml:/etc/cdr-exporter/exporter.yml:ro, and `state_dir: /state` in it,
# or for several replicas `state_url_file`: the extra postgres is there.
ENTRYPOINT ["cdr-exporter"]
CMD ["run", "--config.file", "/etc/cdr-exporter/exporter.yml"]
