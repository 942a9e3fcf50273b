# audiotransfer for the CPU, about 2 GB.
#
#   docker build -t audiotransfer --build-arg TORCH_INDEX=URL .
#   docker run --rm -v "$PWD:/songs" --user "$(id -u):$(id -g)" audiotransfer song.mp3 --style jazz
#
# TORCH_INDEX is the package index with the CPU builds of torch, as PyTorch's "Get started" page
# shows it for Pip and CPU. Without it, torch comes with CUDA's libraries: 5 GB more.
FROM python:3.11-slim AS build

ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/audiotransfer
ENV PATH=/opt/audiotransfer/bin:$PATH

# torch by itself first: this layer stays when only the sources change.
WORKDIR /src
COPY constraints.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install "$(grep '^torch==' constraints.txt)" --index-url "$TORCH_INDEX"; \
    fi
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY audiotransfer audiotransfer
COPY separation separation
COPY vocoder vocoder
COPY configs configs
RUN pip install -c constraints.txt .

FROM python:3.11-slim

COPY --from=build /opt/audiotransfer /opt/audiotransfer
ENV PATH=/opt/audiotransfer/bin:$PATH \
    HOME=/home/songs \
    NUMBA_CACHE_DIR=/tmp/numba \
    MPLCONFIGDIR=/tmp/matplotlib
# A home that any user may write to, since --user may name one that is not known here.
RUN useradd --create-home --home-dir /home/songs songs && chmod 1777 /home/songs
USER songs
WORKDIR /songs
ENTRYPOINT ["audiotransfer"]
CMD ["--help"]
