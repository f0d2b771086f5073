# Built in two stages so that no compiler or package cache is in the image that runs.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/venv
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY gateway gateway
COPY predictor predictor
COPY profiles profiles
RUN /opt/venv/bin/pip install --no-cache-dir -c constraints.txt .

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 hydra
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HYDRA_HOST=0.0.0.0 \
    HYDRA_DATA_DIR=/home/hydra/data
# On 0.0.0.0 the gateway refuses to start without keys: set HYDRA_API_KEYS.
USER hydra
WORKDIR /home/hydra
VOLUME /home/hydra/data
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('HYDRA_PORT', '4000')}/healthz\", timeout=2)"]
CMD ["hydra-gateway", "serve"]
