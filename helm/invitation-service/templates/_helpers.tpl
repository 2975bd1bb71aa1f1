{{- define "invitation-service.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 53 characters leave room for the suffixes (-headless, -migrate) within a name's 63. */}}
{{- define "invitation-service.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- $name := include "invitation-service.name" . }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 53 | trimSuffix "-" }}
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

{{- define "invitation-service.podLabels" -}}
{{- merge (include "invitation-service.labels" . | fromYaml) .root.Values.podLabels | toYaml }}
{{- end }}

{{- define "invitation-service.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- define "invitation-service.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "invitation-service.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* The hook runs before the release's own objects exist, so it can use no service account that the chart makes. */}}
{{- define "invitation-service.migrationServiceAccountName" -}}
{{- $existing := ternary "" .Values.serviceAccount.name .Values.serviceAccount.create }}
{{- .Values.migration.serviceAccountName | default $existing | default "default" }}
{{- end }}

{{- define "invitation-service.claimName" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-data" (include "invitation-service.fullname" .)) }}
{{- end }}

{{- define "invitation-service.replicas" -}}
{{- if kindIs "invalid" .Values.replicas }}
{{- ternary 1 2 (eq .Values.store.backend "sqlite") }}
{{- else }}
{{- int .Values.replicas }}
{{- end }}
{{- end }}

{{/* A duration of the configuration ("500ms", "20s", "2m") in whole seconds, rounded up. */}}
{{- define "invitation-service.seconds" -}}
{{- if hasSuffix "ms" . }}
{{- div (add (trimSuffix "ms" . | int) 999) 1000 }}
{{- else if hasSuffix "m" . }}
{{- mul (trimSuffix "m" . | int) 60 }}
{{- else }}
{{- trimSuffix "s" . | int }}
{{- end }}
{{- end }}

{{/* How long a pod may take to drain; SIGKILL must come later. */}}
{{- define "invitation-service.drainSeconds" -}}
{{- add (include "invitation-service.seconds" .Values.config.grpc.drain_delay) (include "invitation-service.seconds" .Values.config.grpc.drain_timeout) }}
{{- end }}

{{- define "invitation-service.terminationGracePeriodSeconds" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds }}
{{- add (include "invitation-service.drainSeconds" .) 5 }}
{{- else }}
{{- int .Values.terminationGracePeriodSeconds }}
{{- end }}
{{- end }}

{{/*
The service's configuration file. Written out key by key: toToml would turn the whole numbers of the values into floats.
A JSON string is a TOML basic string.
*/}}
{{- define "invitation-service.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $listen := ternary "[::]" .Values.listenAddress (eq .Values.listenAddress "::") }}
{{- $own := dict
      "admin" (dict "listen" (printf "%s:9090" $listen))
      "grpc" (dict "listen" (printf "%s:50051" $listen))
      "auth" (dict "mode" "required") }}
{{- if .Values.existingSecret.keys.apiKeys }}
{{- $_ := set $own.auth "api_keys_file" "/run/secrets/invitation-service/api-keys.toml" }}
{{- end }}
{{- if .Values.tls.secretName }}
{{- $tls := dict "cert_file" "/run/secrets/invitation-service-tls/tls.crt" "key_file" "/run/secrets/invitation-service-tls/tls.key" }}
{{- if .Values.tls.clientCa.secretName }}
{{- $_ := set $tls "client_ca_file" "/run/secrets/invitation-service-tls/client-ca.crt" }}
{{- $_ := set $tls "client_auth" .Values.tls.clientAuth }}
{{- if .Values.tls.clientCertificates }}
{{- $_ := set $own.auth "client_certificates_file" "/etc/invitation-service/client-certificates.toml" }}
{{- end }}
{{- end }}
{{- $_ := set $own "grpc.tls" $tls }}
{{- end }}
{{- if eq .Values.store.backend "sqlite" }}
{{- $_ := set $own "store" (dict "url" "sqlite:///var/lib/invitation-service/invitations.db") }}
{{- else }}
{{- $store := dict "url_file" "/run/secrets/invitation-service/store-url" }}
{{- if .Values.existingSecret.keys.readUrl }}
{{- $_ := set $store "read_url_file" "/run/secrets/invitation-service/read-url" }}
{{- end }}
{{- $_ := set $own "store" $store }}
{{- end }}
{{- if or (eq .Values.store.backend "postgres") .Values.sqlite.tokenKeysFromSecret }}
{{- $_ := set $own "token" (dict "keys_file" "/run/secrets/invitation-service/token-keys") }}
{{- end }}
{{- if .Values.existingSecret.keys.mailUrl }}
{{- $_ := set $own "mail" (dict "url_file" "/run/secrets/invitation-service/mail-url") }}
{{- end }}
{{- range $section, $keys := mergeOverwrite $config $own }}
{{- if $keys }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{- if kindIs "string" $value }}
{{ $key }} = {{ toRawJson $value }}
{{- else if kindIs "bool" $value }}
{{ $key }} = {{ $value }}
{{- else if not (kindIs "invalid" $value) }}
{{ $key }} = {{ int64 $value }}
{{- end }}
{{- end }}
{{ end }}
{{- end }}
{{- end }}

{{/* The data of a ConfigMap that holds it. Indenting leaves blanks on the empty lines, which go again. */}}
{{- define "invitation-service.configData" -}}
{{- $data := printf "config.toml: |%s" (include "invitation-service.config" . | trim | nindent 2) }}
{{- regexReplaceAll "(?m)^ +$" (nindent 2 $data) "" }}
{{- end }}

{{- define "invitation-service.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.runAs.user }}
runAsUser: {{ int64 . }}
{{- end }}
{{- with .Values.runAs.group }}
runAsGroup: {{ int64 . }}
{{- end }}
{{- with .Values.runAs.fsGroup }}
fsGroup: {{ int64 . }}
# Without this, every start walks the whole volume to change its owner.
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "invitation-service.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop:
    - ALL
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What the pods of the service, of the migration and of the test have in common. */}}
{{- define "invitation-service.podCommon" -}}
automountServiceAccountToken: false
# The variables that Kubernetes sets for each Service begin with the Service's name, which may look like our configuration.
enableServiceLinks: false
securityContext:
  {{- include "invitation-service.podSecurityContext" . | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "invitation-service.env" -}}
{{- range $name, $value := .Values.extraEnv }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* Mounts for the configuration and the secrets; two places, as nothing can be mounted inside a read-only volume. */}}
{{- define "invitation-service.volumeMounts" -}}
- name: config
  mountPath: /etc/invitation-service
  readOnly: true
- name: secrets
  mountPath: /run/secrets/invitation-service
  readOnly: true
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
The volumes behind them. Only the keys that are used are mounted, under names that do not depend on those in the Secret.
Call with (dict "root" $ "configMap" NAME "storeUrlKey" KEY).
*/}}
{{- define "invitation-service.volumes" -}}
{{- $values := .root.Values }}
{{- $postgres := eq $values.store.backend "postgres" }}
- name: config
  configMap:
    name: {{ .configMap }}
- name: secrets
  secret:
    secretName: {{ $values.existingSecret.name }}
    defaultMode: 0440
    items:
      {{- with $values.existingSecret.keys.apiKeys }}
      - key: {{ . }}
        path: api-keys.toml
      {{- end }}
      {{- if or $postgres $values.sqlite.tokenKeysFromSecret }}
      - key: {{ $values.existingSecret.keys.tokenKeys }}
        path: token-keys
      {{- end }}
      {{- if $postgres }}
      - key: {{ .storeUrlKey }}
        path: store-url
      {{- with $values.existingSecret.keys.readUrl }}
      - key: {{ . }}
        path: read-url
      {{- end }}
      {{- end }}
      {{- with $values.existingSecret.keys.mailUrl }}
      - key: {{ . }}
        path: mail-url
      {{- end }}
{{- with $values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
