# The image for those who have Docker (`make docker-build IMG=…`). Without it, `make image` packs the same files: both
# take them from tools/pack_image.py.

# The compiler is the one of rust-toolchain.toml (compared by tools/test_dockerfile.py); that file stays out of the build,
# because rustup would fetch its other components too.
FROM rust:1.95-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target,id=holdfast-$TARGETARCH \
    set -eu; \
    target="$(uname -m)-unknown-linux-gnu"; \
    RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" CARGO_TARGET_DIR=/target \
      cargo build --release --locked --target "$target" --bin holdfast --bin holdfast-runtime; \
    SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" python3 tools/pack_image.py \
      --target "$target" --directory /image \
      "/target/$target/release/holdfast" "/target/$target/release/holdfast-runtime"

FROM scratch
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="holdfast" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image /
ENV PATH=/usr/local/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /
USER 65533:65533
ENTRYPOINT ["/usr/local/bin/holdfast"]
