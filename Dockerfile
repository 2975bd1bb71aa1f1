# syntax=docker/dockerfile:1

# Debian 12 in both stages: the binary links to the C library of the first and runs with that of the second. A release names both by digest,
# --build-arg RUNTIME_IMAGE=gcr.io/distroless/cc-debian12@sha256:..., as docs/image.md says.
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# Each platform is built natively, or emulated, so nothing but Rust and the image's C compiler (for the bundled SQLite) is needed:
#   docker buildx build --platform linux/amd64,linux/arm64 .
# hadolint ignore=DL3006
FROM ${BUILD_IMAGE} AS build
ARG TARGETPLATFORM
WORKDIR /src
# .dockerignore lets through only what cargo reads: the manifest names the tests and benches, so they must be there to be parsed.
COPY . .
# The target folder is a cache that outlives checkouts, one for each platform, and cargo judges by modification times: without the touch,
# an older checkout would pass for already built.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=target-${TARGETPLATFORM},target=/src/target,sharing=locked \
    find build.rs config proto src -type f -exec touch {} + \
    && cargo build --release --locked --bin invitation-service \
    && install -D -m 0755 target/release/invitation-service /out/usr/local/bin/invitation-service \
    && install -d -m 0700 -o 65532 -g 65532 /out/var/lib/invitation-service

# hadolint ignore=DL3006
FROM ${RUNTIME_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="invitation-service" \
      org.opencontainers.image.description="A gRPC service that owns invitations, with one lifecycle for every kind of them" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/usr/local/bin/invitation-service /usr/local/bin/invitation-service
# The working directory holds ./data, where the default configuration keeps its SQLite file: mount a volume here.
COPY --from=build --chown=65532:65532 /out/var/lib/invitation-service /var/lib/invitation-service
WORKDIR /var/lib/invitation-service
# By number, so that runAsNonRoot can be checked without reading /etc/passwd.
USER 65532:65532
EXPOSE 50051
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/invitation-service"]
CMD ["serve"]
