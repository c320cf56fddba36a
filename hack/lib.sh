# shellcheck shell=bash
# What the scripts in this folder share: where things are, how progress is told, how work is kept from being
# done twice at once. Sourced, never run.
set -euo pipefail
shopt -s inherit_errexit

HACK=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # for the scripts that source this file
ROOT=$(dirname "$HACK")
# shellcheck source=hack/versions.env
source "$HACK/versions.env"

# Everything that is built or downloaded, and the kubeconfig, live here, outside the checkout.
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/soak-operator
# A second cluster beside the first needs another name and another XDG_CACHE_HOME.
CLUSTER=${SOAK_CLUSTER:-soak}
RUN=/run/soak-operator-$CLUSTER
NETNS=soak-operator-$CLUSTER
export KUBECONFIG=$CACHE/kubeconfig
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}

say() { printf '%(%H:%M:%S)T  %s\n' -1 "$*" >&2; }
die() { say "error: $*"; exit 1; }

# step WHAT USUALLY COMMAND...: runs COMMAND, telling what it is, how long it usually takes, how long it took.
step() {
  local what=$1 usually=$2 start=$SECONDS status
  shift 2
  say "$what (usually $usually)"
  "$@"
  # Reached after a failure only where the caller handles it.
  status=$?
  [ $status = 0 ] || return $status
  say "$what: done in $((SECONDS - start)) s"
}

# locked NAME COMMAND...: runs COMMAND while no other process is inside the same NAME. The lock goes with the
# process, so an interrupted build holds nothing.
locked() {
  local name=$1 fd
  shift
  mkdir -p "$CACHE/lock"
  exec {fd}> "$CACHE/lock/$name"
  flock -n "$fd" || { say "waiting for another process that works on $name"; flock "$fd"; }
  "$@"
  exec {fd}>&-
}

# retry SECONDS COMMAND...: until COMMAND succeeds or the time is over.
retry() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.5
  done
}

# A short name for the content of files and words, by which caches are keyed.
digest() { sha256sum | cut -c1-12; }

install_packages() {
  local missing=() p
  for p in "$@"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -x installed >/dev/null || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "please install: ${missing[*]}"
  say "installing ${missing[*]}"
  refresh_package_lists
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

refresh_package_lists() { as_root apt-get update -qq; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# The engine that the cluster runs on: `host` is the docker of this machine, `own` the one that engine.sh brings.
engine_kind() { cat "$CACHE/engine-kind" 2>/dev/null; }

own_docker_host() { echo "unix://$RUN/docker.sock"; }

# use_engine: from here on docker, kind, kubectl with its plugin and helm are ours and talk to the cluster's engine.
use_engine() {
  local dirs
  dirs=$("$HACK/tools" --path)
  export PATH=$dirs:$CACHE/plugin:$PATH
  if [ "$(engine_kind)" = own ]; then
    export PATH=$CACHE/engine/usr/bin:$PATH DOCKER_HOST DOCKER_BUILDKIT=0
    DOCKER_HOST=$(own_docker_host)
  fi
}

# in_net COMMAND...: where the cluster's API server can be reached. The engine of our own keeps it, and every
# pod, in a network namespace without a way out.
in_net() {
  if [ "$(engine_kind)" = own ]; then nsenter --net="/run/netns/$NETNS" "$@"; else "$@"; fi
}

unmount_below() {
  local mounts m
  mounts=$(awk -v below="$1" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r)
  for m in $mounts; do umount "$m" || umount --lazy "$m" || true; done
}
