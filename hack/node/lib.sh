# shellcheck shell=bash
# Names of what a node is built from, each with a key of all that goes into it: a change makes another name, and
# an old name is never taken for the new thing. Sourced after ../lib.sh.

base_key=$(cat <(echo "$KIND_VERSION $NODE_DEBIAN") "$HACK/node/base.sh" | digest)
node_key=$(
  {
    echo "$base_key $KUBERNETES_VERSION $ETCD_VERSION $COREDNS_VERSION"
    find "$HACK/node" -type f | LC_ALL=C sort | xargs cat
  } | digest
)
# shellcheck disable=SC2034  # for the scripts that source this file
{
  base_tree=$CACHE/node/base-$base_key
  base_image=soak-operator/node-base:$base_key
  node_image=soak-operator/node:$KUBERNETES_VERSION-$node_key
}

has_image() { docker image inspect "$1" >/dev/null 2>&1; }
