#!/usr/bin/env bash
# Two soaks side by side, alike but for a leak: examples/clean.yaml has to pass, examples/leaking.yaml has to fail.
# Shows how they go while they run and what they came to. Exit code 0 only if both came out as they should.
#   demo.sh                once the operator is in the cluster: make demo sees to that
#   demo.sh report FILE    only the tables, from the output of kubectl get soaktests --output json
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

namespace=soak-demo
# How long the operator may take to notice them, and how long it may then be silent; it writes every ten seconds.
pickup_seconds=60
silence_seconds=120

kubectl() { "$HACK/in-cluster-net" kubectl "$@"; }
here() { kubectl --namespace "$namespace" "$@"; }

# The outcome of each SoakTest of a list on stdin, and its criteria as a table of 100 columns.
report() {
  jq --raw-output '
    def pad($n): . + " " * ([$n - length, 0] | max);
    def digits($n): . * pow(10; $n) | round / pow(10; $n) | if . == 0 then 0 else . end | tostring;
    def bytes:
      (if . < 0 then -. else . end) as $size
      | if $size >= 1048576 then (. / 1048576 | digits(1)) + " MiB"
        elif $size >= 1024 then (. / 1024 | digits(0)) + " KiB"
        else digits(0) + " B" end;
    def number: if . >= 100 or . <= -100 then digits(0) else digits(2) end;
    def measure($unit):
      if . == null then "-"
      elif $unit == "bytes" then bytes
      elif $unit == "%" then digits(1) + " %"
      elif $unit == "" then number
      else number + " " + $unit end;
    def wrap($columns):
      reduce splits(" +") as $word ([""];
        if (.[-1] | length) + 1 + ($word | length) <= $columns and .[-1] != "" then .[-1] += " " + $word
        elif .[-1] == "" then .[-1] = $word
        else . + [$word] end);
    def row($name; $component; $estimate; $interval; $limit; $verdict):
      "  " + ($name | pad(15)) + " " + ($component | pad(9)) + " " + ($estimate | pad(13)) + " "
      + ($interval | pad(26)) + " " + ($limit | pad(10)) + " " + $verdict;
    def interval($unit):
      if .interval == null then "-"
      else (.interval.low | measure($unit)) + " to " + (.interval.high | measure($unit)) end;
    .items[]
    | "", "\(.metadata.name): \(.status.outcome // "no outcome")",
      ((.status.message // "" | wrap(96))[] | "  " + .),
      (if (.status.criteria // []) == [] then "  (no criterion was judged)" else
        "", row("CRITERION"; "COMPONENT"; "GROWTH"; "95 % INTERVAL"; "LIMIT"; "VERDICT"),
        (.status.criteria[] | . as $c | (.unit // "") as $unit
          | row(.name; .component // "-"; .estimate | measure($unit); interval($unit); .limit | measure($unit); .outcome),
            ((.sentence | wrap(92))[] | "      " + .))
      end)'
}

if [ "${1:-}" = report ]; then
  report < "${2:-/dev/stdin}"
  exit
fi
[ -n "$(engine_kind)" ] || die "there is no cluster: run make cluster-up"
"$HACK/tools" kubectl >/dev/null
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

here get soaktests clean leaking --output json > "$CACHE/demo.json"
report < "$CACHE/demo.json"
cat <<END

The cluster is still up. To look at it:
  hack/in-cluster-net kubectl get soaktests --namespace $namespace
  hack/in-cluster-net kubectl describe soaktest leaking --namespace $namespace
  hack/in-cluster-net kubectl get configmap leaking-journal-0 --namespace $namespace --output yaml
  make shell                 a shell with kubectl and helm
To remove it:
  make cluster-down          the cluster; a new one takes a minute
  make clean-all             and everything that was built
END

outcome() { jq --raw-output --arg name "$1" '.items[] | select(.metadata.name == $name) | .status.outcome // "none"' "$CACHE/demo.json"; }
clean=$(outcome clean) leaking=$(outcome leaking)
if [ "$clean" = Passed ] && [ "$leaking" = Failed ]; then
  say "as it should be: clean Passed and leaking Failed"
else
  die "clean should be Passed and is $clean, leaking should be Failed and is $leaking"
fi
