#!/usr/bin/env bash
# The images that the chart and the tests run, put onto every node of the cluster.
#   images.sh binaries   only compile our three programs, and kubectl soak for the machine that this runs on
#   images.sh            compile, make the images, load those that changed
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

programs=(operator sim-worker sim-producer)
context=$CACHE/images

# Static, so that an image needs nothing else. With --target the flags do not reach build scripts and macros,
# which cannot be static.
target=$(uname -m)-unknown-linux-gnu
build() {
  local quiet=()
  [ -t 2 ] || quiet=(--quiet)
  (
    cd "$ROOT"
    RUSTFLAGS='-C target-feature=+crt-static' cargo build "${quiet[@]}" --release --locked --target "$target" "$@"
  )
}

compile() {
  build --package soak-operator --package soak-sim-worker --package soak-sim-producer
  mkdir -p "$context"
  cp "$CARGO_TARGET_DIR/$target/release/"{soak-operator,soak-sim-worker,soak-sim-producer} "$context/"
}

# By itself: compiled together with the operator it would add features to what the two share.
compile_plugin() {
  build --package kubectl-soak
  mkdir -p "$CACHE/plugin"
  install "$CARGO_TARGET_DIR/$target/release/kubectl-soak" "$CACHE/plugin/"
}

version() { sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml"; }
revision() { git -C "$ROOT" describe --always --abbrev=40 --dirty 2>/dev/null || echo unknown; }

make_ours() {
  local program builder=()
  # The old builder wants an image with a shell for the stage that compiles: the nodes' is here in any case.
  if [ "$(engine_kind)" = own ]; then builder=(--build-arg "BUILDER=$(cat "$CACHE/cluster-created")"); fi
  for program in "${programs[@]}"; do
    docker build --quiet --file "$ROOT/Dockerfile" --target "$program" --tag "soak-operator/$program:$(version)" \
      --build-arg BINARIES=prebuilt --build-arg "VERSION=$(version)" --build-arg "REVISION=$(revision)" \
      "${builder[@]}" "$context" >/dev/null
  done
}

# NATS and Prometheus. The nodes of an ordinary kind pull them; for others they are made from their Go modules,
# started the way the official images are.
make_theirs() {
  has "$nats" || image_of "$nats" "$("$HACK/tools" nats-server)" /nats-server \
    'EXPOSE 4222 8222 6222' 'ENTRYPOINT ["/nats-server"]'
  has "$prometheus" || image_of "$prometheus" "$("$HACK/tools" prometheus)" /bin/prometheus \
    'COPY --chown=65534:65534 data /prometheus' 'WORKDIR /prometheus' 'USER 65534:65534' 'EXPOSE 9090' \
    'ENTRYPOINT ["/bin/prometheus"]' \
    'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]'
}
nats=nats:${NATS_VERSION#v}
prometheus=prom/prometheus:$PROMETHEUS_VERSION

has() { docker image inspect "$1" >/dev/null 2>&1; }

# image_of IMAGE PROGRAM PATH [DOCKERFILE LINE...]
image_of() {
  local image=$1 program=$2 path=$3 dir
  shift 3
  dir=$(mktemp -d)
  mkdir "$dir/data"
  cp "$program" "$dir/program"
  printf '%s\n' 'FROM scratch' "COPY program $path" "$@" > "$dir/Dockerfile"
  docker build --quiet --tag "$image" "$dir" >/dev/null
  rm -rf "$dir"
}

# kind looks at every node and loads only what is not there yet.
load() {
  local images=("${programs[@]/#/soak-operator/}")
  images=("${images[@]/%/:$(version)}")
  if [ "$(engine_kind)" = own ]; then images+=("$nats" "$prometheus"); fi
  in_net kind load docker-image --quiet --name "$CLUSTER" "${images[@]}"
}

step "compiling the operator and the simulation" "3 min, then what changed" compile
if [ "${1:-}" = binaries ]; then
  step "compiling kubectl soak" "2 min, then what changed" compile_plugin
  exit 0
fi
[ -n "$(engine_kind)" ] || die "there is no cluster: run make cluster-up"
use_engine
step "making our images" "2 s" make_ours
if [ "$(engine_kind)" = own ]; then step "making the images of NATS and Prometheus" "4 min, once" make_theirs; fi
step "loading images onto the nodes" "10 s, or 1 s" load
