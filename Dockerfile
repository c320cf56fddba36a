# Images of the operator and of the simulation: one static program each, no shell, no root.
#
#   docker build --target operator .                       from source, in a Rust image that is pulled
#   docker build --target operator --build-arg BINARIES=prebuilt DIR
#                                                          from the programs in DIR, built elsewhere
#
# Docker's old builder runs the stage that it does not need, too. Where it is all there is, and no Rust image can
# be pulled, give that stage any image with a shell: --build-arg BUILDER=IMAGE; without cargo it does nothing.

ARG BINARIES=built
ARG BUILDER=rust:1.95-bookworm

FROM ${BUILDER} AS built
WORKDIR /source
COPY . .
RUN command -v cargo >/dev/null || exit 0; \
    target="$(uname -m)-unknown-linux-gnu" && \
    RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target "$target" --target-dir /target \
      --package soak-operator --package soak-sim-worker --package soak-sim-producer && \
    cp "/target/$target/release/soak-operator" "/target/$target/release/soak-sim-worker" \
      "/target/$target/release/soak-sim-producer" /

FROM scratch AS prebuilt
COPY soak-operator soak-sim-worker soak-sim-producer /

FROM ${BINARIES} AS binaries

FROM scratch AS base
ARG VERSION=0.0.0
ARG REVISION=unknown
USER 65532:65532
LABEL org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.source=https://github.com/soak-operator/soak-operator \
      org.opencontainers.image.licenses=Apache-2.0

FROM base AS operator
LABEL org.opencontainers.image.title="soak-operator" \
      org.opencontainers.image.description="Proves that a system does not leak, slow down or lose work while its pods keep restarting"
COPY --from=binaries /soak-operator /soak-operator
ENTRYPOINT ["/soak-operator"]

FROM base AS sim-worker
LABEL org.opencontainers.image.title="soak-sim-worker" \
      org.opencontainers.image.description="Consumes the simulated workload's partitions and keeps the ledger of what was lost"
COPY --from=binaries /soak-sim-worker /soak-sim-worker
ENTRYPOINT ["/soak-sim-worker"]

FROM base AS sim-producer
LABEL org.opencontainers.image.title="soak-sim-producer" \
      org.opencontainers.image.description="Publishes the simulated workload's numbered messages"
COPY --from=binaries /soak-sim-producer /soak-sim-producer
ENTRYPOINT ["/soak-sim-producer"]
