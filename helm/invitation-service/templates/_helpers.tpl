{{/* Names, labels, annotations, and what is calculated from the values. */}}

{{- define "invitation-service.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 46 characters leave room for the suffixes (-migrate-12345678) within a name's 63. */}}
{{- define "invitation-service.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" }}
{{- else }}
{{- $name := include "invitation-service.name" . }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 46 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The labels that never change: a Deployment's selector is immutable. Call with (dict "root" $ "component" "server"). */}}
{{- define "invitation-service.selectorLabels" -}}
app.kubernetes.io/name: {{ include "invitation-service.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* `labels` yields to the chart's own: a label of the user's that replaced a selector's would part a Service from its pods. */}}
{{- define "invitation-service.labels" -}}
{{- $own := include "invitation-service.selectorLabels" . | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") }}
{{- merge $own .root.Values.labels | toYaml }}
{{- end }}

{{/* Without the versions of chart and application: a new chart alone must not roll pods that stay as they are. */}}
{{- define "invitation-service.podLabels" -}}
{{- $own := include "invitation-service.selectorLabels" . | fromYaml }}
{{- merge $own .root.Values.podLabels .root.Values.labels | toYaml }}
{{- end }}

{{/*
The `annotations:` of an object, or nothing. Call with (dict "root" $ "own" MAP "more" MAP): `own` is what the chart needs and wins,
then what the values say for this object, then what they say for all.
*/}}
{{- define "invitation-service.annotations" -}}
{{- $all := merge (dict) (.own | default dict) (.more | default dict) .root.Values.annotations }}
{{- with $all -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A parent chart may name one registry for all images. */}}
{{- define "invitation-service.image" -}}
{{- $repository := .Values.image.repository }}
{{- with (.Values.global).imageRegistry }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}
{{- end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- define "invitation-service.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "invitation-service.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* A hook runs before the release's own objects exist, so it can use no service account that the chart makes. A plain Job can. */}}
{{- define "invitation-service.migrationServiceAccountName" -}}
{{- if .Values.migration.serviceAccountName }}
{{- .Values.migration.serviceAccountName }}
{{- else if and (eq .Values.migration.mode "hook") .Values.serviceAccount.create }}
{{- "default" }}
{{- else }}
{{- include "invitation-service.serviceAccountName" . }}
{{- end }}
{{- end }}

{{- define "invitation-service.claimName" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-data" (include "invitation-service.fullname" .)) }}
{{- end }}

{{/* Empty, or how calls are encrypted. What depends on it: the configuration, the volumes, appProtocol, the test, the route, the notes. */}}
{{- define "invitation-service.tls" -}}
{{- if has .Values.tls.mode (list "existingSecret" "certManager") }}true{{ end }}
{{- end }}

{{- define "invitation-service.tlsSecretName" -}}
{{- if include "invitation-service.tls" . }}
{{- .Values.tls.secretName | default (printf "%s-tls" (include "invitation-service.fullname" .)) }}
{{- end }}
{{- end }}

{{/* The name that certificates hold for, and that clients inside the cluster use. */}}
{{- define "invitation-service.host" -}}
{{- printf "%s.%s.svc" (include "invitation-service.fullname" .) .Release.Namespace }}
{{- end }}

{{- define "invitation-service.appProtocol" -}}
{{- .Values.service.appProtocol | default (ternary "https" "grpc" (not (empty (include "invitation-service.tls" .)))) }}
{{- end }}

{{/* Whether a Job migrates, and so whether its objects are made. */}}
{{- define "invitation-service.migrationJob" -}}
{{- if and (eq .Values.store.backend "postgres") (has .Values.migration.mode (list "job" "hook")) }}true{{ end }}
{{- end }}

{{- define "invitation-service.replicas" -}}
{{- if .Values.autoscaling.enabled }}
{{- int .Values.autoscaling.minReplicas }}
{{- else if kindIs "invalid" .Values.replicas }}
{{- ternary 1 2 (eq .Values.store.backend "sqlite") }}
{{- else }}
{{- int .Values.replicas }}
{{- end }}
{{- end }}

{{/* The most pods that may be wanted at once, without those of an update. */}}
{{- define "invitation-service.maxReplicas" -}}
{{- if .Values.autoscaling.enabled }}
{{- int .Values.autoscaling.maxReplicas }}
{{- else }}
{{- include "invitation-service.replicas" . }}
{{- end }}
{{- end }}

{{/* The pods that an update adds for a while: a number, or a share of the pods, which Kubernetes rounds up. */}}
{{- define "invitation-service.maxSurge" -}}
{{- $rolling := .Values.strategy.rollingUpdate | default dict }}
{{- $surge := ternary $rolling.maxSurge 1 (hasKey $rolling "maxSurge") | toString }}
{{- if or (eq .Values.store.backend "sqlite") (eq (.Values.strategy.type | default "RollingUpdate") "Recreate") }}
{{- 0 }}
{{- else if hasSuffix "%" $surge }}
{{- $pods := include "invitation-service.maxReplicas" . | int }}
{{- div (add (mul $pods (trimSuffix "%" $surge | int)) 99) 100 }}
{{- else }}
{{- int $surge }}
{{- end }}
{{- end }}

{{/*
Connections to the primary that one pod opens at most, as config/default.toml says at store.max_connections: those of the pool, which
reads have once more with a reader role, one that readiness is looked at with, and one that waits for notifications.
*/}}
{{- define "invitation-service.podConnections" -}}
{{- $pool := dig "store" "max_connections" 16 .Values.config | int }}
{{- add (mul $pool (ternary 2 1 (not (empty (dig "store" "reader_role" "" .Values.config))))) 2 }}
{{- end }}

{{/* All of them at the worst moment: an update while every pod is there, and the migration. */}}
{{- define "invitation-service.connections" -}}
{{- $pods := add (include "invitation-service.maxReplicas" . | int) (include "invitation-service.maxSurge" . | int) }}
{{- $migration := ternary 2 0 (not (empty (include "invitation-service.migrationJob" .))) }}
{{- add (mul $pods (include "invitation-service.podConnections" . | int)) $migration }}
{{- end }}

{{/* A duration of the configuration ("500ms", "20s", "2m", "12h", "30d") in milliseconds. */}}
{{- define "invitation-service.milliseconds" -}}
{{- if hasSuffix "ms" . }}
{{- trimSuffix "ms" . | int64 }}
{{- else }}
{{- $units := dict "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 }}
{{- $unit := substr (sub (len .) 1 | int) (len .) . }}
{{- mul (trimSuffix $unit . | int64) (get $units $unit) }}
{{- end }}
{{- end }}

{{/* The same in whole seconds, rounded up. */}}
{{- define "invitation-service.seconds" -}}
{{- div (add (include "invitation-service.milliseconds" . | int64) 999) 1000 }}
{{- end }}

{{/* The time that a pod may take to drain, a sleep before it among it; SIGKILL must come later. */}}
{{- define "invitation-service.drainSeconds" -}}
{{- add (dig "preStop" "sleep" "seconds" 0 .Values.lifecycle) (include "invitation-service.seconds" .Values.config.grpc.drain_delay) (include "invitation-service.seconds" .Values.config.grpc.drain_timeout) }}
{{- end }}

{{- define "invitation-service.terminationGracePeriodSeconds" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds }}
{{- add (include "invitation-service.drainSeconds" .) 5 }}
{{- else }}
{{- int .Values.terminationGracePeriodSeconds }}
{{- end }}
{{- end }}

{{/* A quantity of CPU (2, "1.5", "500m") in thousandths of a core; 0 for none. */}}
{{- define "invitation-service.millicores" -}}
{{- $quantity := toString . }}
{{- if or (empty .) (eq $quantity "<nil>") }}
{{- 0 }}
{{- else if hasSuffix "m" $quantity }}
{{- trimSuffix "m" $quantity | int }}
{{- else }}
{{- mulf (float64 $quantity) 1000 | int }}
{{- end }}
{{- end }}

{{/* A quantity of memory ("512Mi", "1G") in bytes; 0 for none. */}}
{{- define "invitation-service.bytes" -}}
{{- $quantity := toString . }}
{{- $units := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 }}
{{- $unit := regexFind "[A-Za-z]+$" $quantity }}
{{- if or (empty .) (eq $quantity "<nil>") }}
{{- 0 }}
{{- else }}
{{- mulf (trimSuffix $unit $quantity | float64) (get $units $unit | default 1) | int64 }}
{{- end }}
{{- end }}

{{/*
Threads that run tasks. The runtime would take one for each core of the node, which costs memory and, under a limit, throttling. A pod
gets as many as it has cores by its limit, else by its request, and never one alone, behind which everything would wait.
*/}}
{{- define "invitation-service.workerThreads" -}}
{{- $resources := .Values.resources }}
{{- $cpu := dig "limits" "cpu" "" $resources | default (dig "requests" "cpu" "" $resources) }}
{{- max 2 (div (add (include "invitation-service.millicores" $cpu | int) 999) 1000) }}
{{- end }}
