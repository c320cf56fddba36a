#!/usr/bin/env bash
# Whether the cluster carries traffic, which Ready nodes do not prove: from every node a pod asks a Service on
# every node, by its name. And whether the kubelets tell of containers what a soak is judged by.
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ -n "$(engine_kind)" ] || die "there is no cluster: run make cluster-up"
use_engine

image=soak-operator/netcheck:1
namespace=cluster-test-$$
kubectl() { in_net kubectl --namespace "$namespace" "$@"; }

make_image() {
  local context=$CACHE/netcheck
  mkdir -p "$context"
  (cd "$HACK/netcheck" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$context/netcheck" .)
  printf '%s\n' 'FROM scratch' 'COPY netcheck /netcheck' 'USER 65532:65532' 'ENTRYPOINT ["/netcheck"]' > "$context/Dockerfile"
  docker build --quiet --tag "$image" "$context" >/dev/null
  in_net kind load docker-image --quiet --name "$CLUSTER" "$image"
}

# On every node a pod that answers, with a Service of its own, and one that asks them all.
pods() {
  local node urls=
  while read -r node; do
    urls+=", \"http://server-$node\", \"http://server-$node.$namespace.svc.cluster.local\""
    cat <<Y
---
apiVersion: v1
kind: Service
metadata: {name: server-$node}
spec: {selector: {server: $node}, ports: [{port: 80, targetPort: 8080}]}
Y
  done <<< "$nodes"
  while read -r node; do
    pod "server-$node" "server: $node, app: server" "$node" '["serve"]'
    pod "client-$node" "app: client" "$node" "[\"ask\"$urls]"
  done <<< "$nodes"
}

pod() {
  cat <<Y
---
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {$2}}
spec:
  nodeName: $3
  restartPolicy: Never
  automountServiceAccountToken: false
  tolerations: [{operator: Exists}]
  containers: [{name: netcheck, image: "$image", imagePullPolicy: Never, args: $4}]
Y
}

every_client_got_answers() {
  kubectl wait --for=jsonpath='{.status.phase}'=Succeeded pod -l app=client --timeout=90s >/dev/null && return
  kubectl get pods -o wide >&2
  kubectl logs -l app=client --prefix --tail=-1 >&2
  die "a Service does not answer from every node"
}

# The memory of a container by its pod, through the API server, as Prometheus reads it. A new container shows up
# at cAdvisor's next look, some seconds later.
kubelets_tell_of_containers() {
  local node
  while read -r node; do
    in_net kubectl get --raw "/api/v1/nodes/$node/proxy/metrics/cadvisor" |
      grep "^container_memory_working_set_bytes{.*pod=\"server-$node\"" >/dev/null || return 1
  done <<< "$nodes"
}

step "building the pod that asks and answers" "2 s" make_image
nodes=$(kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}')
kubectl create namespace "$namespace" >/dev/null
trap 'in_net kubectl delete namespace "$namespace" --wait=false >/dev/null' EXIT
pods | kubectl apply -f - >/dev/null
kubectl wait --for=condition=Ready pod -l app=server --timeout=60s >/dev/null
step "asking a Service from every node" "5 s" every_client_got_answers
retry 60 kubelets_tell_of_containers || die "the kubelets tell nothing of the memory of containers"
say "Services answer across nodes, and kubelets tell of containers"
