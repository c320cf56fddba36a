#!/usr/bin/env bash
# Leaves nothing of ours on this machine: no cluster, no engine, no process, mount, network namespace or cgroup, and
# nothing that was built. Debian packages that were installed stay, and so does Go's own cache.
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case $(engine_kind) in
  own) "$HACK/engine.sh" stop ;;
  host)
    "$HACK/cluster.sh" down
    docker image ls --format '{{.Repository}}:{{.Tag}}' 'soak-operator/*' | xargs --no-run-if-empty docker image rm >/dev/null
    ;;
esac
unmount_below "$CACHE/"
[ ! -d "$CACHE" ] || step "removing $CACHE" "10 s" rm -rf "$CACHE"
say "all is gone"
