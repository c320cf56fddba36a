#!/usr/bin/env bash
# Two soaks side by side, alike but for a leak: examples/clean.yaml has to pass, examples/leaking.yaml has to fail.
# Shows how they go while they run and what they came to. Exit code 0 only if both came out as they should.
# kubectl soak tells what they came to, and makes reports of it. The operator has to be there: make demo sees to that.
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

namespace=soak-demo
# How long the operator may take to notice them, and how long it may then be silent; it writes every ten seconds.
pickup_seconds=60
silence_seconds=120
reports=$CACHE/demo

kubectl() { "$HACK/in-cluster-net" kubectl "$@"; }
here() { kubectl --namespace "$namespace" "$@"; }
# kubectl takes no flags before a plugin's name.
soak() { kubectl soak "$@" --namespace "$namespace"; }

[ -n "$(engine_kind)" ] || die "there is no cluster: run make cluster-up"
"$HACK/tools" kubectl >/dev/null
[ -x "$CACHE/plugin/kubectl-soak" ] || die "there is no kubectl soak: run make binaries"
install_packages jq

# Where to look when nothing happens.
look_at_the_operator() {
  kubectl get deployments --all-namespaces --selector app.kubernetes.io/name=soak-operator >&2 || true
  say "look at: hack/in-cluster-net kubectl --namespace soak-system get pods"
  say "         hack/in-cluster-net kubectl --namespace soak-system logs deployment/soak-operator"
}

fresh_namespace() {
  kubectl get namespace "$namespace" >/dev/null 2>&1 || kubectl create namespace "$namespace" >/dev/null
  here delete soaktests clean leaking --ignore-not-found --timeout 120s >/dev/null ||
    { look_at_the_operator; die "the soaks of the last demo do not go away"; }
  here wait pods --for delete --selector soak-operator.io/soaktest --timeout 120s >/dev/null ||
    die "pods of the last demo do not go away"
}

now() { printf '%(%s)T' -1; }

# One line a soak: name, phase, outcome, progress, chaos, and when the operator last wrote to it, in seconds.
glance() {
  here get soaktests clean leaking --output json | jq --raw-output '.items[] | .status as $s
    | [.metadata.name, $s.phase // "-", $s.outcome // "-", $s.progress // "-", $s.chaos.summary // "-",
       ($s.presence.seenAt // "" | if . == "" then 0 else sub("\\.[0-9]+"; "") | fromdate end)]
    | map(if . == "" then "-" else . end) | join(" ")'
}

told() {
  local name phase outcome progress chaos line=''
  while read -r name phase outcome progress chaos _; do
    [ "$outcome" = - ] || phase="$phase $outcome"
    line+="${line:+   |   }$name: $phase, $progress gone, $chaos killed"
  done <<<"$1"
  sed 's/, - gone//; s/, - gone//; s/, - killed//; s/, - killed//; s/: -/: not picked up yet/g' <<<"$line"
}

interrupted() {
  trap - INT TERM
  printf '\n' >&2
  say "stopped watching; the soaks go on: hack/in-cluster-net kubectl get soaktests --namespace $namespace --watch"
  say "to stop them, too: hack/in-cluster-net kubectl delete soaktests clean leaking --namespace $namespace"
  exit 130
}

# Until both are Completed, at most as long as the soaks themselves may take.
watch_them() {
  local begun seen='' last_line=0 failures=0
  begun=$(now)
  while :; do
    if ! seen=$(glance 2>/dev/null) || [ "$(wc -l <<<"$seen")" != 2 ]; then
      failures=$((failures + 1))
      [ $failures -lt 20 ] || die "the cluster does not answer, or somebody deleted the soaks"
      sleep 3
      continue
    fi
    failures=0
    local age=$(($(now) - begun)) heard
    heard=$(awk '{ print $6 }' <<<"$seen" | sort -n | head -1)
    if [ "$heard" = 0 ]; then
      [ $age -lt $pickup_seconds ] ||
        { look_at_the_operator; die "the operator has not picked the soaks up within $pickup_seconds s: is it running?"; }
    elif awk -v old=$(($(now) - silence_seconds)) '$2 != "Completed" && $6 < old { exit 1 }' <<<"$seen"; then :; else
      look_at_the_operator
      die "the operator has not written anything for $silence_seconds s: is it still running?"
    fi
    if [ $((age - last_line)) -ge 15 ] || [ $last_line = 0 ] || ! grep -qv ' Completed ' <<<"$seen"; then
      say "$(told "$seen")"
      last_line=$((age > 0 ? age : 1))
    fi
    grep -qv ' Completed ' <<<"$seen" || return 0
    [ $age -lt $limit_seconds ] ||
      { look_at_the_operator; die "the soaks are not Completed after $((limit_seconds / 60)) minutes"; }
    sleep 3
  done
}

fresh_namespace
here apply --filename "$ROOT/examples/clean.yaml" --filename "$ROOT/examples/leaking.yaml" >/dev/null
# The deadline of the examples is in minutes; a minute more for the last of it to be written down.
limit_seconds=$(here get soaktest clean --output 'jsonpath={.spec.deadline}' | sed -n 's/^\([0-9]*\)m$/\1/p')
limit_seconds=$(((${limit_seconds:-30} + 1) * 60))
trap interrupted INT TERM
say "two soaks of 8 minutes run side by side in namespace $namespace; workers are killed every 30 to 45 s"
watch_them
trap - INT TERM

# A soak that could not be run has no report, and says so.
mkdir -p "$reports"
rm -f "$reports"/*
for name in clean leaking; do
  printf '\n'
  soak describe "$name"
  soak report "$name" --output-file "$reports/$name.html" || true
  soak report "$name" --output junit --output-file "$reports/$name.xml" || true
done
cat <<END

The reports, a page to open in a browser and JUnit for CI of each, are in $reports

The cluster is still up. To look at it:
  hack/in-cluster-net kubectl soak list --namespace $namespace
  hack/in-cluster-net kubectl soak report leaking --namespace $namespace --output markdown
  hack/in-cluster-net kubectl get configmap leaking-journal-0 --namespace $namespace --output yaml
  make shell                 a shell with kubectl, kubectl soak and helm
To remove it:
  make cluster-down          the cluster; a new one takes a minute
  make clean-all             and everything that was built
END

outcome() { here get soaktest "$1" --output 'jsonpath={.status.outcome}'; }
clean=$(outcome clean) leaking=$(outcome leaking)
if [ "$clean" = Passed ] && [ "$leaking" = Failed ]; then
  say "as it should be: clean Passed and leaking Failed"
else
  die "clean should be Passed and is ${clean:-without outcome}, leaking should be Failed and is ${leaking:-without outcome}"
fi
