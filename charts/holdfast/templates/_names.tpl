{{/* One name for every object of ours: the manager is told it as --installation. */}}
{{- define "holdfast.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Suffixes such as -selfsigned must still fit into 63 characters. */}}
{{- define "holdfast.fullname" -}}
{{- $name := include "holdfast.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "holdfast.selectorLabels" -}}
app.kubernetes.io/name: {{ include "holdfast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: manager
{{- end -}}

{{/* What a CRD carries: it outlives the release, so nothing of the release but Helm's own marks. */}}
{{- define "holdfast.crdLabels" -}}
app.kubernetes.io/name: holdfast
app.kubernetes.io/part-of: holdfast
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "holdfast.labels" -}}
{{ include "holdfast.selectorLabels" . }}
app.kubernetes.io/part-of: holdfast
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "holdfast.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The Service's name: what the API server and scrapers ask for, and what certificates say. */}}
{{- define "holdfast.serviceName" -}}
{{- .Values.service.name | default (include "holdfast.fullname" .) -}}
{{- end -}}

{{/* With cert-manager, its injector keeps the bundle, and the manager leaves it alone. */}}
{{- define "holdfast.injection" -}}
{{- if eq .Values.certificates.mode "cert-manager" -}}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "holdfast.fullname" . }}
{{- end -}}
{{- end -}}

{{/* Whether there is a Secret with a certificate to mount: "true" or nothing. */}}
{{- define "holdfast.hasTlsSecret" -}}
{{- if has .Values.certificates.mode (list "cert-manager" "secret") -}}true{{- end -}}
{{- end -}}

{{/* Whether /metrics is served over TLS: not with a Secret that may be absent when the manager starts. */}}
{{- define "holdfast.hasMetricsTls" -}}
{{- if and (include "holdfast.hasTlsSecret" .) (not .Values.certificates.optional) -}}true{{- end -}}
{{- end -}}

{{- define "holdfast.tlsSecret" -}}
{{- .Values.certificates.secretName | default (printf "%s-tls" (include "holdfast.fullname" .)) -}}
{{- end -}}

{{/* The CRDs' names, PLURAL.GROUP, from the names of the generated files: the one list there is. */}}
{{- define "holdfast.crdNames" -}}
{{- $names := list }}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" }}
{{- $names = append $names (base $path | trimSuffix ".yaml") }}
{{- end }}
{{- toYaml $names }}
{{- end -}}

{{- define "holdfast.agentSelectorLabels" -}}
app.kubernetes.io/name: {{ include "holdfast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: agent
{{- end -}}

{{- define "holdfast.agentLabels" -}}
{{ include "holdfast.agentSelectorLabels" . }}
app.kubernetes.io/part-of: holdfast
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "holdfast.agentEnv" -}}
- name: HOLDFAST_NODE
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: HOLDFAST_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: HOLDFAST_IDENTITY
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- /* Both containers check the node. */}}
{{- with .Values.agent.prefix }}
- name: HOLDFAST_HOST_PREFIX
  value: {{ . }}
{{- end }}
- name: HOLDFAST_HOST_UNFIT_TAINT
  value: {{ .Values.agent.unfitTaint | default "PreferNoSchedule" | quote }}
{{- end -}}

{{/* What it takes to install on a host, and to freeze and dump any process there. */}}
{{- define "holdfast.agentRights" -}}
runAsUser: 0
runAsNonRoot: false
privileged: true
readOnlyRootFilesystem: true
{{- end -}}
