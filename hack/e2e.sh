#!/usr/bin/env bash
# The tests of e2e/, against the cluster, where images and deploy have been run.
#   e2e.sh           all of them: soaks beside each other first, then those that kill or bind the operator, alone
#   e2e.sh NAME...   only these files of e2e/tests, one after the other; TESTS=WORD runs only tests whose name has WORD
# Each file's output is kept in the cache, under log/. Whatever a test leaves behind when it is interrupted is removed.
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
[ -n "$(engine_kind)" ] || die "there is no cluster: run make cluster-up"
"$HACK/tools" helm kubectl >/dev/null

logs=$CACHE/log/e2e
results=$(mktemp -d)
lanes=()
# A backtrace of an async test is long and says nothing that the message does not.
export RUST_BACKTRACE=0

kubectl() { "$HACK/in-cluster-net" kubectl "$@"; }

# How many tests of a file run at once: what two cores and sixty pods bear.
threads() {
  case $1 in
    faults) echo 3 ;;
    deletion) echo 4 ;;
    chart) echo 2 ;;
    bench_chaos | interrupted) echo 1 ;;
    *) echo 4 ;;
  esac
}

build() {
  # What one of the files runs as a program of its own.
  cargo build --locked --package kubectl-soak
  cargo test --locked --package soak-e2e --no-run --message-format json-render-diagnostics |
    jq --raw-output 'select(.reason == "compiler-artifact" and .profile.test and .executable != null)
      | "\(.target.name) \(.executable)"' > "$results/binaries"
}

# How many seconds a file may take.
limit() {
  case $1 in
    interrupted | bench_chaos | bench_thousand | leak_modes | soak_sim) echo 2400 ;;
    *) echo 720 ;;
  esac
}

# What a bench or a long run tells is what it is run for.
shows() {
  case $1 in
    interrupted | bench_chaos | bench_thousand | leak_modes | soak_sim) echo --nocapture ;;
  esac
}

# run NAME...: files one after the other, all of them whatever becomes of the first.
run() {
  local name binary start
  for name in "$@"; do
    binary=$(awk -v name="$name" '$1 == name { print $2 }' "$results/binaries")
    [ -n "$binary" ] || die "there is no e2e/tests/$name.rs"
    start=$SECONDS
    say "$name: begins"
    # shellcheck disable=SC2046  # a flag or nothing
    if "$HACK/in-cluster-net" timeout --kill-after 20 "$(limit "$name")" "$binary" --test-threads "$(threads "$name")" $(shows "$name") ${TESTS:+"$TESTS"} \
      > >(tee "$logs/$name.log" | sed -u "s/^/$name: /" | grep --line-buffered -v ': $' >&2) 2>&1; then
      printf '%-14s ok     %4d s\n' "$name" $((SECONDS - start)) >> "$results/table"
    else
      printf '%-14s FAILED %4d s  %s\n' "$name" $((SECONDS - start)) "$logs/$name.log" >> "$results/table"
      touch "$results/failed"
    fi
  done
}

# What an interrupted test could not remove itself.
sweep() {
  kubectl delete namespaces --selector soak-operator.io/e2e=true --ignore-not-found --wait=false >/dev/null
  local crds
  crds=$(kubectl get customresourcedefinitions --output name | grep '/soaktests\.e2e-' || true)
  # shellcheck disable=SC2086  # one word each
  [ -z "$crds" ] || kubectl delete $crds --ignore-not-found --wait=false >/dev/null
}

gone() { [ -z "$(kubectl get namespaces --selector soak-operator.io/e2e=true --output name)" ]; }

finish() {
  local status=$? lane
  trap - EXIT
  for lane in "${lanes[@]}"; do kill -- "-$lane" 2>/dev/null || true; done
  sweep || true
  if [ $status = 0 ] && ! retry 120 gone; then
    say "namespaces of tests do not go: $(kubectl get namespaces --selector soak-operator.io/e2e=true --output name)"
    status=1
  fi
  if [ -s "$results/table" ]; then printf '\n' && sed 's/^/  /' "$results/table" && printf '\n'; fi
  rm -rf "$results"
  exit $status
}

# A process group of its own for each lane, so that all of it can be ended.
lane() {
  set -m
  run "$@" &
  lanes+=($!)
  set +m
}

mkdir -p "$logs"
trap finish EXIT
trap 'exit 130' INT TERM
step "compiling the tests" "1 min, then seconds" build
sweep

if [ $# -gt 0 ]; then
  lane "$@"
  wait "${lanes[@]}"
else
  lane lifecycle existing
  lane admission examples dashboards plugin chart faults deletion events
  wait "${lanes[@]}"
  # Nobody else may need the operator while it may not do its work, or is killed.
  lane quiet permissions operator_kill
  wait "${lanes[@]}"
fi
[ ! -e "$results/failed" ]
