#!/usr/bin/env bash
# The kind cluster that the demo and the tests run on. Where docker can pull images it is an ordinary kind; on a
# bare Debian machine the engine and the node image are built first, and from there on it is kind all the same.
#   cluster.sh up | down | status
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

up() {
  local start=$SECONDS
  choose_engine
  if [ "$(engine_kind)" = own ]; then "$HACK/engine.sh" start; fi
  command -v jq >/dev/null || install_packages jq
  "$HACK/tools" kind kubectl >/dev/null
  use_engine
  if is_whole; then
    say "cluster $CLUSTER is up"
  elif was_created && step "starting the nodes of cluster $CLUSTER again" "30 to 40 s" revive; then
    say "cluster $CLUSTER is up again after $((SECONDS - start)) s"
  else
    create
    say "cluster $CLUSTER is up after $((SECONDS - start)) s"
  fi
  favour_the_control_plane
  say "use it with: hack/in-cluster-net kubectl get pods -A"
}

# Once chosen, an engine stays until clean-all: a cluster on the other would be forgotten.
choose_engine() {
  mkdir -p "$CACHE"
  [ -z "$(engine_kind)" ] || return 0
  local kind=${SOAK_ENGINE:-}
  if [ -z "$kind" ]; then
    if docker_here_pulls_images; then kind=host; else kind=own; fi
  fi
  if [ "$kind" = host ]; then
    say "docker here can pull images: an ordinary kind"
  else
    say "no docker here that can pull images: bringing an engine and building the node image"
  fi
  echo "$kind" > "$CACHE/engine-kind"
}

docker_here_pulls_images() {
  timeout 10 docker info >/dev/null 2>&1 || return 1
  docker image inspect "$KIND_NODE_IMAGE" >/dev/null 2>&1 ||
    step "pulling $KIND_NODE_IMAGE" "1 min, once" timeout 900 docker pull --quiet "$KIND_NODE_IMAGE" >/dev/null
}

create() {
  local image=$KIND_NODE_IMAGE
  if [ "$(engine_kind)" = own ]; then image=$("$HACK/node/build.sh"); fi
  local attempt
  for attempt in first second; do
    # What an interrupted creation left, or a cluster that would not start again.
    if exists; then in_net kind delete cluster --quiet --name "$CLUSTER"; fi
    rm -f "$CACHE/cluster-created"
    if step "creating cluster $CLUSTER" "30 to 60 s" create_nodes "$image"; then
      echo "$image" > "$CACHE/cluster-created"
      return
    fi
    say "the $attempt attempt failed; what its control plane says:"
    explain
  done
  die "the nodes did not become Ready in time"
}

create_nodes() {
  in_net kind create cluster --quiet --name "$CLUSTER" --image "$1" --config "$HACK/kind.yaml" && wait_ready 180
}

# Elsewhere it has a machine of its own, and does not wait for the pods of the nodes.
favour_the_control_plane() {
  docker update --cpu-shares 8192 "$CLUSTER-control-plane" >/dev/null || say "the control plane has no more of the processors than the nodes"
}

# The API server may stop answering for a while after kind is done with it, on a machine with a lot else to do;
# kubectl gives up at the first refusal.
wait_ready() {
  retry "$1" api_answers &&
    in_net kubectl wait --for=condition=Ready node --all --timeout="$1s" >/dev/null &&
    in_net kubectl --namespace kube-system rollout status deployment/coredns --timeout="$1s" >/dev/null &&
    in_net kubectl --namespace kube-system rollout status daemonset/kube-proxy --timeout="$1s" >/dev/null
}
api_answers() { in_net kubectl --request-timeout 5s get --raw /readyz >/dev/null 2>&1; }

explain() {
  docker ps --all --filter "label=io.x-k8s.kind.cluster=$CLUSTER" >&2
  docker exec "$CLUSTER-control-plane" sh -c '
    journalctl --unit kubelet --lines 20 --no-pager
    for program in kube-apiserver etcd; do tail -n 15 /var/log/pods/kube-system_$program-*/*/*.log; done' >&2 || true
}

nodes() { docker ps --all --filter "label=io.x-k8s.kind.cluster=$CLUSTER" --format '{{.Names}} {{.State}}'; }
exists() { [ -n "$(nodes)" ]; }
was_created() { exists && [ -e "$CACHE/cluster-created" ]; }

is_whole() {
  was_created && ! nodes | grep -v ' running$' >/dev/null && all_ready && runs_since_its_nodes_started
}
all_ready() {
  local conditions
  conditions=$(in_net kubectl --request-timeout 5s get nodes \
    -o jsonpath='{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' 2>/dev/null) || return 1
  [ "$(sort -u <<< "$conditions")" = True ]
}

# After a reboot, or when the engine died: the nodes keep what they know, and everything starts from it.
revive() {
  local name
  for name in $(nodes | sed -n '/ running$/!s/ .*//p'); do docker start "$name" >/dev/null || return 1; done
  retry 180 runs_since_its_nodes_started && wait_ready 60
}

# Until a kubelet reports, the API server believes what it knew before, so a container counts as ready only if it
# started after its node did.
runs_since_its_nodes_started() {
  local starts
  # shellcheck disable=SC2046  # a list of names
  starts=$(docker inspect --format '{{slice .Name 1}} {{.State.StartedAt}}' $(nodes | cut -d' ' -f1)) || return 1
  in_net kubectl --request-timeout 5s --namespace kube-system get pods --output json 2>/dev/null |
    jq --exit-status --arg starts "$starts" '
      ($starts | split("\n") | map(split(" ") | {key: .[0], value: .[1][:19]}) | from_entries) as $started |
      [.items[] | $started[.spec.nodeName] as $start | .status.containerStatuses // [{}] | .[] |
       .ready and .state.running.startedAt[:19] >= $start] | length > 0 and all' >/dev/null
}

down() {
  [ -n "$(engine_kind)" ] || { say "there is no cluster"; return; }
  if [ "$(engine_kind)" = own ]; then
    [ -x "$CACHE/engine/usr/sbin/dockerd" ] || { say "there is no cluster"; return; }
    "$HACK/engine.sh" start
  fi
  use_engine
  if exists; then
    "$HACK/tools" kind >/dev/null
    step "deleting cluster $CLUSTER" "5 s" in_net kind delete cluster --quiet --name "$CLUSTER"
  fi
  rm -f "$CACHE/cluster-created" "$KUBECONFIG"
  say "cluster $CLUSTER is gone; the engine and what was built stay (make clean-all removes them)"
}

status() {
  [ -n "$(engine_kind)" ] || { echo "cluster: none"; return; }
  echo "engine: $(engine_kind)"
  use_engine
  if [ "$(engine_kind)" = own ] && [ "$("$HACK/engine.sh" status)" = down ]; then
    echo "cluster: down, with the engine (make cluster-up)"
    return
  fi
  exists || { echo "cluster: none"; return; }
  nodes | sed 's/^/node: /'
  in_net kubectl --request-timeout 5s get nodes -o wide
  echo "kubeconfig: $KUBECONFIG"
}

case ${1:-} in
  up) locked "cluster-$CLUSTER" up ;;
  down) locked "cluster-$CLUSTER" down ;;
  status) status ;;
  *) die "usage: hack/cluster.sh up|down|status" ;;
esac
