{{/* The name of everything that belongs to the operator, short enough for a suffix within 63 characters. */}}
{{- define "soak-operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of everything that belongs to the bundled Prometheus. */}}
{{- define "soak-operator.prometheus.fullname" -}}
{{- printf "%s-prometheus" (.Release.Name | trunc 52 | trimSuffix "-") -}}
{{- end -}}

{{/* Labels that select pods. They take (list $ "component") and never change: selectors are immutable. */}}
{{- define "soak-operator.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of every object. They take (list $ "component"). Not for pod templates: a new version of the chart alone
     restarts nothing. */}}
{{- define "soak-operator.labels" -}}
{{- $root := index . 0 -}}
{{ include "soak-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: soak-operator
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The Prometheus that SoakTests read from unless they name one; may be empty. */}}
{{- define "soak-operator.prometheusURL" -}}
{{- if and .Values.prometheus.bundled.enabled .Values.prometheus.url -}}
{{- fail "prometheus.url and prometheus.bundled.enabled exclude each other: set the URL of your own Prometheus, or enable the bundled one" -}}
{{- else if .Values.prometheus.bundled.enabled -}}
{{- printf "http://%s.%s.svc:9090" (include "soak-operator.prometheus.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- .Values.prometheus.url -}}
{{- end -}}
{{- end -}}

{{/* The pod security that the operator and Prometheus share. It takes the user's id. */}}
{{- define "soak-operator.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "soak-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end -}}

{{/* Where the pods of this chart may run, and how they are pulled. */}}
{{- define "soak-operator.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
