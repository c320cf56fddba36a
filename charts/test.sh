#!/usr/bin/env bash
# Tests the chart without a cluster: lint, golden manifests, what the manifests must and must not say, and values that
# must be refused.
#
#   charts/test.sh            run
#   UPDATE=1 charts/test.sh   also write the golden manifests anew and copy crds/ into the chart: read the diff
#   HELM=... charts/test.sh   with this helm; else the one on PATH, else the one that hack/tools builds
set -euo pipefail
cd "$(dirname "$0")/.."

chart=charts/soak-operator
golden=$chart/tests/golden
values=$chart/tests/values
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ -n ${HELM:-} ]]; then
  read -ra helm <<<"$HELM"
elif command -v helm >/dev/null; then
  helm=(helm)
else
  helm=("$(hack/tools helm)")
fi
"${helm[@]}" version --short >/dev/null || { echo "charts/test.sh needs helm 3: set HELM to one" >&2; exit 1; }

passed=0
failed=0

pass() { passed=$((passed + 1)); echo "ok    $1"; }
fail() { failed=$((failed + 1)); echo "FAIL  $1"; [[ $# -lt 2 ]] || echo "      ${2//$'\n'/$'\n'      }"; }

# manifests ARGS...: those of release soak-operator in namespace soak-system.
manifests() { "${helm[@]}" template soak-operator "$chart" -n soak-system --kube-version 1.34.0 "$@"; }

# render NAME ARGS...: the manifests as $work/NAME.yaml.
render() {
  local name=$1; shift
  if ! manifests "$@" >"$work/$name.yaml" 2>"$work/$name.err"; then
    fail "renders $name" "$(cat "$work/$name.err")"
    return 1
  fi
}

# part NAME KIND OBJECT: one object of a rendering, by kind and metadata.name.
part() {
  awk -v kind="kind: $2" -v name="  name: $3" '
    function flush() { if (is_kind && is_name) printf "%s", text; text = ""; is_kind = is_name = meta = 0 }
    /^---/ { flush(); next }
    /^[a-zA-Z]/ { meta = ($0 == "metadata:") }
    $0 == kind { is_kind = 1 }
    meta && $0 == name { is_name = 1 }
    { text = text $0 "\n" }
    END { flush() }' "$work/$1.yaml"
}

# says TEXT SENTENCE PATTERN: some line of the text matches.
says() { if grep -qE -- "$3" <<<"$1"; then pass "$2"; else fail "$2" "no line matches: $3"; fi; }
# silent TEXT SENTENCE PATTERN: no line does; an empty text proves nothing.
silent() {
  if [[ -z $1 ]]; then fail "$2" "nothing was rendered"
  elif grep -qE -- "$3" <<<"$1"; then fail "$2" "$(grep -E -- "$3" <<<"$1")"
  else pass "$2"; fi
}

# same TEXT TEXT SENTENCE: both are the same, and neither is empty.
same() {
  local difference
  if [[ -z $1 || -z $2 ]]; then fail "$3" "nothing was rendered"
  elif difference=$(diff <(echo "$1") <(echo "$2")); then pass "$3"
  else fail "$3" "$difference"; fi
}

# refused SENTENCE PATTERN ARGS...: helm exits non-zero and says why.
refused() {
  local sentence=$1 pattern=$2 said; shift 2
  if said=$(manifests "$@" 2>&1); then
    fail "refuses $sentence" "was accepted"
  elif ! grep -qE -- "$pattern" <<<"$said"; then
    fail "refuses $sentence" "message does not match $pattern:"$'\n'"$said"
  else
    pass "refuses $sentence"
  fi
}

# --- lint, and golden manifests of each set of values (without the CRD, which has a freshness test of its own)

for set in default demo namespaced every-value; do
  with=()
  [[ $set == default ]] || with=(-f "$values/$set.yaml")
  if said=$("${helm[@]}" lint --strict "$chart" "${with[@]}" 2>&1); then
    pass "lints with $set values"
  else
    fail "lints with $set values" "$said"
  fi
  render "$set" --set crds.install=false "${with[@]}" || continue
  [[ -z ${UPDATE:-} ]] || { mkdir -p "$golden"; cp "$work/$set.yaml" "$golden/$set.yaml"; }
  if said=$(diff -u "$golden/$set.yaml" "$work/$set.yaml" 2>&1); then
    pass "renders $set values as in $golden/$set.yaml"
  else
    fail "renders $set values as in $golden/$set.yaml (meant so? UPDATE=1 charts/test.sh)" "$said"
  fi
done

# --- the CRD

if [[ -n ${UPDATE:-} ]] && compgen -G "crds/*.yaml" >/dev/null; then
  rm -f "$chart"/crd-files/*.yaml
  cp crds/*.yaml "$chart/crd-files/"
fi
if said=$(diff -r crds "$chart/crd-files" 2>&1) && compgen -G "$chart/crd-files/*.yaml" >/dev/null; then
  pass "the chart's CRDs are those in crds/"
else
  fail "the chart's CRDs are those in crds/ (UPDATE=1 charts/test.sh copies them)" "${said:-there are none}"
fi
if render with-crds; then
  crd=$(part with-crds CustomResourceDefinition soaktests.soak-operator.io)
  says "$crd" "installs the SoakTest CRD as a template, so that upgrades reach it" '^kind: CustomResourceDefinition$'
  says "$crd" "keeps the CRD, and every SoakTest, on uninstall" '^    helm.sh/resource-policy: keep$'
  added='^  annotations:$|^    helm.sh/resource-policy: keep$'
  same "$(grep -cE "$added" <<<"$crd")" 2 "adds one annotation to the CRD"
  same "$(grep -vE "$added|^#|^\$" <<<"$crd")" "$(grep -vE '^#|^$|^---$' "$chart/crd-files/soaktests.soak-operator.io.yaml")" \
    "changes nothing else of the CRD"
fi
silent "$(cat "$work/default.yaml")" "leaves the CRD out when crds.install is false" '^kind: CustomResourceDefinition$'

# --- the operator

deployment=$(part default Deployment soak-operator)
says "$deployment" "runs as user 65532" '^ +runAsUser: 65532$'
says "$deployment" "refuses to run as root" '^ +runAsNonRoot: true$'
says "$deployment" "mounts its root file system read-only" '^ +readOnlyRootFilesystem: true$'
says "$deployment" "drops every capability" '^ +drop: \["ALL"\]$'
says "$deployment" "uses the runtime's seccomp profile" '^ +type: RuntimeDefault$'
says "$deployment" "takes its image's tag from appVersion" \
  "^ +image: \"soak-operator/operator:$(sed -n 's/^appVersion: //p' $chart/Chart.yaml)\"$"
says "$deployment" "starts the new pod before it stops the old" '^ +maxSurge: 1$'
says "$(grep -A1 'name: PROMETHEUS_URL' <<<"$deployment")" "names no Prometheus unless told" 'value: ""$'
says "$(part demo Deployment soak-operator | grep -A1 'name: PROMETHEUS_URL')" \
  "uses the bundled Prometheus where there is one" 'value: "http://soak-operator-prometheus.soak-system.svc:9090"$'
says "$(part every-value Deployment soak-operator | grep -A1 'name: PROMETHEUS_URL')" \
  "uses the Prometheus it is given" 'value: "https://prometheus.example:9090/base"$'
says "$(part namespaced Deployment soak-operator | grep -A1 'name: WATCH_NAMESPACES')" \
  "joins the namespaces with commas" 'value: "team-a,team-b"$'
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
same "$(sed -n 's/^version: //p' $chart/Chart.yaml)" "$version" "has the version of the workspace"
same "$(sed -n 's/^appVersion: //p' $chart/Chart.yaml)" "$version" "installs the operator of the workspace's version"

# --- permissions

for set in default demo namespaced every-value; do
  silent "$(cat "$work/$set.yaml")" "grants no wildcard with $set values" '"\*"|\["?\*'
  silent "$(cat "$work/$set.yaml")" "reads no Secret with $set values" '"secrets"'
done
cluster=$(part default ClusterRole soak-operator)
says "$(grep -A1 '"leases"' <<<"$cluster")" "reads the Lease of a leader" 'verbs: \["get"\]'
silent "$(grep -A1 '"leases"' <<<"$cluster")" "takes no Lease outside its own namespace" 'create|update|patch|delete'
says "$(part default Role soak-operator-lease)" "takes its Lease in its own namespace" '^  namespace: soak-system$'
silent "$(grep -A1 '"pods"' <<<"$cluster")" "creates no pods, and changes nothing of one but what it names" 'create|update'
silent "$(grep -A1 '"configmaps"' <<<"$cluster")" "deletes no ConfigMap" 'delete'
namespaced=$(cat "$work/every-value.yaml")
silent "$namespaced" "needs no ClusterRole when namespaces are listed" '^kind: ClusterRole'
says "$(part namespaced Role soak-operator)" "has a Role in the first namespace listed" '^  namespace: "team-a"$'
says "$(part namespaced Role soak-operator)" "has a Role in the second namespace listed" '^  namespace: "team-b"$'
rules() { sed -n '/^rules:/,$p' | grep -E 'apiGroups|resources|verbs'; }
same "$(part every-value Role soak-operator | rules)" "$(rules <<<"$cluster" | head -n -3)" \
  "has the same rules in a namespace as in the cluster, but for nodes"
says "$(part default ClusterRole soak-operator-soaktests-view)" "lets viewers see SoakTests" \
  'aggregate-to-view: "true"$'
silent "$(part default ClusterRole soak-operator-soaktests-edit)" "lets nobody edit an outcome" '^[^#]*soaktests/status'
silent "$(cat "$work/namespaced.yaml")" "aggregates nothing when told not to" 'aggregate-to-'

# --- the bundled Prometheus

silent "$(cat "$work/default.yaml")" "bundles no Prometheus unless told" 'prom/prometheus'
config=$(part demo ConfigMap soak-operator-prometheus)
says "$config" "scrapes as often as told" '^ +scrape_interval: 1s$'
silent "$config" "sets no target label named component, which is the metrics' own" 'target_label: component'
silent "$config" "lets no target overwrite namespace and pod" 'honor_labels: true'
says "$config" "accepts any kubelet's certificate when told" 'insecure_skip_verify: true$'
says "$(part namespaced ConfigMap soak-operator-prometheus)" "checks kubelets' certificates unless told" \
  'insecure_skip_verify: false$'
says "$(part namespaced ConfigMap soak-operator-prometheus)" "looks for pods in the listed namespaces only" \
  'names: \["team-a","team-b"\]$'
silent "$(part namespaced ClusterRole soak-operator-prometheus)" "lists no pods elsewhere when namespaces are listed" \
  '"pods"'
silent "$(part demo ClusterRole soak-operator-prometheus)" "reaches nothing of a kubelet but its metrics" \
  'nodes/proxy|"create"|"delete"'
says "$(part demo Deployment soak-operator-prometheus)" "keeps samples for 12 hours" 'retention.time=12h$'
checksum() { part "$1" Deployment soak-operator-prometheus | sed -n 's|^ *checksum/config: ||p'; }
config_hash=$(checksum demo)
says "$config_hash" "marks Prometheus with its configuration" '^[0-9a-f]{64}$'
silent "$(checksum namespaced)" "restarts Prometheus when its configuration changes" "^$config_hash$"

# --- values that must be refused, each with a message that names the place

refused "a key that does not exist" "additional properties 'promtheus' not allowed" --set promtheus.url=http://p
refused "a misspelt key further down" "at '/prometheus': additional properties 'bundeld' not allowed" \
  --set prometheus.bundeld.enabled=true
refused "a string for a boolean" "at '/prometheus/bundled/enabled': got string, want boolean" \
  --set-string prometheus.bundled.enabled=yes
refused "a Prometheus without http" "at '/prometheus/url': 'prometheus:9090' does not match" \
  --set prometheus.url=prometheus:9090
refused "a Prometheus of one's own beside the bundled one" "prometheus.url and prometheus.bundled.enabled exclude each other" \
  --set prometheus.url=http://p --set prometheus.bundled.enabled=true
refused "a namespace that cannot be" "at '/watchNamespaces/0': 'Team_A' does not match" --set 'watchNamespaces={Team_A}'
refused "a namespace listed twice" "at '/watchNamespaces': items at 0 and 1 are equal" --set 'watchNamespaces={a,a}'
refused "a log format that is not known" "at '/log/format': value must be one of 'json', 'pretty'" --set log.format=xml
refused "a pull policy that is not known" "at '/image/pullPolicy': value must be one of" \
  --set image.pullPolicy=Sometimes
refused "a scrape interval without a unit" "at '/prometheus/bundled/scrapeInterval': got number, want string" \
  --set prometheus.bundled.scrapeInterval=5
refused "an image with a space" "at '/simulation/images/nats'" \
  --set 'simulation.images.nats=nats 2'
refused "a negative number of replicas" "at '/replicas': minimum: got -1, want 0" --set replicas=-1
refused "a cluster too old for the CRD's rules" "requires kubeVersion: >=1.30" --kube-version 1.28.0

echo
echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
