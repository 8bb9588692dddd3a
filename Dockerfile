# Builds an image with visavis and the few libraries that it needs: docker build -t visavis .
# With FFmpeg, for H.265, HTTP, HLS and other streams (about 450 MB more): docker build --build-arg PACKAGES=ffmpeg -t visavis .
# docs/install.md describes how it is run.

FROM rust:1.95-bookworm AS build
# With nasm, the decoder of H.264 is built with assembly code.
RUN apt-get update && apt-get install -y --no-install-recommends nasm && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked && strip target/release/visavis

FROM debian:bookworm-slim
ARG PACKAGES=""
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libstdc++6 $PACKAGES \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 visavis \
    && useradd --system --uid 10001 --gid visavis --groups video --home-dir /data --no-create-home --shell /usr/sbin/nologin visavis \
    && install -d -o visavis -g visavis -m 0750 /data
COPY --from=build /src/target/release/visavis /usr/bin/visavis
COPY LICENSE-MIT LICENSE-APACHE NOTICE /usr/share/doc/visavis/
# The number instead of the name: Kubernetes can then check that it is not root.
USER 10001
WORKDIR /data
# Networks in /data/visavis/models, ONNX Runtime in /data/cache.
ENV XDG_DATA_HOME=/data XDG_CACHE_HOME=/data/cache
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=6s --start-period=30s CMD ["visavis", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["visavis"]
CMD ["live", "--listen", "0.0.0.0:8080", "--gallery", "/data/people.gallery", "--new-gallery"]
