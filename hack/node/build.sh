#!/usr/bin/env bash
# The node image where none can be pulled: what `kind build node-image` does, with parts that we built. Debian is
# downloaded and installed while Go compiles.
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=hack/node/lib.sh
source "$HACK/node/lib.sh"

build() {
  if has_image "$node_image"; then return; fi
  say "building the node image from source: about 9 min on 2 cores from nothing, and only once"
  local base fetched
  "$HACK/node/base.sh" &
  base=$!
  "$HACK/tools" --fetch kubernetes etcd coredns &
  fetched=$!
  # A child that fails must not be left behind by a parent that is gone.
  trap 'kill "$base" "$fetched" 2>/dev/null || true' EXIT
  "$HACK/tools" kubernetes etcd coredns >/dev/null
  wait "$fetched" || die "downloading the sources failed"
  wait "$base" || die "the node's base could not be built"
  trap - EXIT
  local images
  images=$(step "making Kubernetes' images" "10 s" "$HACK/node/system-images.sh")
  step "putting Kubernetes into the node image" "20 s" assemble "$images"
}

assemble() {
  local images=$1 container=soak-operator-node-build kubernetes binary
  kubernetes=$("$HACK/tools" kubernetes)
  docker rm --force "$container" >/dev/null 2>&1 || true
  docker run --detach --name "$container" --network none --security-opt seccomp=unconfined --entrypoint sleep "$base_image" infinity >/dev/null
  docker cp "$HACK/node/rootfs/." "$container:/"
  docker exec "$container" systemctl --quiet enable pod-network
  for binary in kubeadm kubelet kubectl; do
    docker cp "$(tool_of_node "$binary" "$kubernetes")" "$container:/usr/bin/$binary" >/dev/null
  done
  docker exec "$container" sh -c "chown root:root /usr/bin/kube* && printf %s $KUBERNETES_VERSION > /kind/version"
  docker exec --detach "$container" containerd
  retry 20 docker exec "$container" ctr version >/dev/null || die "containerd did not start in the node image"
  # shellcheck disable=SC2086  # a list of names
  docker save $images | docker exec --interactive "$container" \
    ctr --namespace k8s.io images import --all-platforms --no-unpack --digests - >/dev/null
  # Its database must be on disk before the file system is taken.
  docker exec "$container" sh -c 'kill $(pidof containerd); while pidof containerd >/dev/null; do sleep 0.2; done'
  docker commit "$container" "$node_image-files" >/dev/null
  printf '%s\n' "FROM $node_image-files" 'ENV container=docker' 'STOPSIGNAL SIGRTMIN+3' \
    'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' | docker build --quiet --tag "$node_image" - >/dev/null
  docker rm --force "$container" >/dev/null
}

tool_of_node() {
  if [ "$1" = kubectl ]; then "$HACK/tools" kubectl; else echo "$2/$1"; fi
}

use_engine
locked node-image build
echo "$node_image"
