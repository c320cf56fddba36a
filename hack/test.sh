#!/usr/bin/env bash
# Every check, in the order in which a person wants to hear of a mistake. The cluster comes up while the checks that
# need none are running. At the end, or where it fails, a table of what ran and how long.
# In CI the cluster and its engine are gone afterwards; a person keeps them.
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

table=()
begun=$SECONDS
cluster_log=$CACHE/log/cluster-up.log
mkdir -p "$CACHE/log"

stage() {
  local name=$1 start=$SECONDS
  shift
  say "=== $name"
  if ! "$@"; then
    table+=("$(printf '%-14s FAILED after %4d s' "$name" $((SECONDS - start)))")
    exit 1
  fi
  table+=("$(printf '%-14s %4d s' "$name" $((SECONDS - start)))")
}

finish() {
  local status=$?
  trap - EXIT
  # Interrupted or failed: the cluster that is still coming up goes on by itself for a person, and ends in CI.
  if [ -n "${CI:-}" ]; then
    if [ -n "${cluster:-}" ]; then
      kill "$cluster" 2>/dev/null || true
      wait "$cluster" 2>/dev/null || true
    fi
    hack/cluster.sh down || true
    if [ "$(engine_kind)" = own ]; then hack/engine.sh stop || true; fi
  fi
  printf '\n'
  printf '  %s\n' "${table[@]}"
  printf '  %-14s %4d s\n\n' all $((SECONDS - begun))
  if [ $status = 0 ]; then say "everything passed"; else say "something failed: see above"; fi
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

cluster_is_up() {
  local shown=0
  while kill -0 "$cluster" 2>/dev/null; do
    tail -n "+$((shown + 1))" "$cluster_log" >&2
    shown=$(wc -l < "$cluster_log")
    sleep 1
  done
  tail -n "+$((shown + 1))" "$cluster_log" >&2
  wait "$cluster"
}

say "the cluster comes up meanwhile: $cluster_log"
hack/cluster.sh up >"$cluster_log" 2>&1 &
cluster=$!

stage lint hack/lint.sh
stage unit make --no-print-directory unit
stage crds-check make --no-print-directory crds-check
stage chart-test make --no-print-directory chart-test
stage cluster-up cluster_is_up
cluster=
stage cluster-test hack/cluster-test.sh
stage images hack/images.sh
stage deploy hack/deploy.sh
stage e2e hack/e2e.sh
