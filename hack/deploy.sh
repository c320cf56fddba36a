#!/usr/bin/env bash
# Installs the chart, or upgrades to it, with the Prometheus that it bundles.
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ -n "$(engine_kind)" ] || die "there is no cluster: run make cluster-up"
use_engine
"$HACK/tools" helm kubectl >/dev/null

deploy() {
  in_net helm upgrade --install soak-operator "$ROOT/charts/soak-operator" --namespace soak-system --create-namespace \
    --values "$ROOT/charts/soak-operator/tests/values/demo.yaml" >/dev/null || die "the chart could not be installed"
  restart_if_image_changed
  local deployment
  for deployment in $(in_net kubectl --namespace soak-system get deployments --output name); do
    in_net kubectl --namespace soak-system rollout status "$deployment" --timeout 120s >/dev/null || explain
  done
}

# While we work on it an image changes under the same name, which Kubernetes does not notice.
restart_if_image_changed() {
  local image id
  image=$(in_net kubectl --namespace soak-system get deployment soak-operator \
    --output 'jsonpath={.spec.template.spec.containers[0].image}')
  id=$(docker image inspect --format '{{.Id}}' "$image")
  in_net kubectl --namespace soak-system patch deployment soak-operator --patch \
    "{\"spec\": {\"template\": {\"metadata\": {\"annotations\": {\"soak-operator.io/image-id\": \"$id\"}}}}}" >/dev/null
}

explain() {
  in_net kubectl --namespace soak-system get pods >&2
  in_net kubectl --namespace soak-system logs --selector app.kubernetes.io/instance=soak-operator --prefix --tail 20 >&2 || true
  die "the chart was installed, but not everything became ready"
}

step "installing the chart into namespace soak-system" "10 s" deploy
