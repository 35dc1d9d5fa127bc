# The daemon of one camera: docker build -t edge-inspect . ; compose.yaml beside it runs it with Prometheus and Grafana.
# For CPUs and GenICam cameras. A GPU needs NVIDIA's base image and the extra tensorrt or rtx (docs/tensorrt.md).
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY edge ./edge
COPY systemd ./systemd
RUN python -m venv /opt/edge && /opt/edge/bin/pip install --no-cache-dir ".[camera,openvino]"

FROM python:3.12-slim
# ids of their own, so that a volume's files have one owner over all versions of the image
RUN groupadd --gid 7501 edge && useradd --uid 7501 --gid edge --no-create-home --shell /usr/sbin/nologin edge \
    && mkdir -p /etc/edge /run/edge /var/lib/edge /var/log/edge /var/cache/edge \
    && chown edge:edge /run/edge /var/lib/edge /var/log/edge /var/cache/edge
COPY --from=build /opt/edge /opt/edge
ENV PATH=/opt/edge/bin:$PATH PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1 XDG_CACHE_HOME=/var/cache/edge
USER edge
VOLUME ["/var/lib/edge", "/var/log/edge"]
# a daemon drains within 5 s of SIGTERM
STOPSIGNAL SIGTERM
# 1 where the line is not ready or has a fault
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s CMD ["edge", "fleet", "--json"]
ENTRYPOINT ["edge"]
CMD ["run", "-c", "/etc/edge/cam1.yaml"]
