{{/* The parts that the pods of the service, of the migration and of the tests have in common. */}}

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

{{/* The fields of a container that runs the service's image. */}}
{{- define "invitation-service.container" -}}
image: {{ include "invitation-service.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
# The log's last lines say why a container ended; so `kubectl describe pod` shows them.
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "invitation-service.containerSecurityContext" . | nindent 2 }}
{{- end }}

{{- define "invitation-service.podCommon" -}}
automountServiceAccountToken: false
# The variables that Kubernetes sets for each Service begin with the Service's name, which may look like our configuration.
enableServiceLinks: false
securityContext:
  {{- include "invitation-service.podSecurityContext" . | nindent 2 }}
{{- $pullSecrets := concat .Values.imagePullSecrets ((.Values.global).imagePullSecrets | default list) }}
{{- with $pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name") }}
  {{- end }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "hostAliases" "dnsConfig" }}
{{- with get $.Values $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end }}

{{/*
Call with (dict "root" $ "own" MAP): a variable of `extraEnv` takes the place of one that the chart sets. Commands that somebody runs
in the pod find the configuration by its variable, too.
*/}}
{{- define "invitation-service.env" -}}
{{- $config := dict "INVITATION_CONFIG" "/etc/invitation-service/config.toml" }}
{{- range $name, $value := mergeOverwrite (dict) $config (.own | default dict) .root.Values.extraEnv }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
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
The volumes behind them. One volume takes keys from whatever Secrets have them, under names that do not depend on those in the Secrets;
whole folders, as the kubelet never renews a mount with subPath. Call with (dict "root" $ "migration" BOOL).
*/}}
{{- define "invitation-service.volumes" -}}
{{- $used := include "invitation-service.usedSecrets" . | fromYaml }}
{{- $sources := dict }}
{{- range $file, $item := $used }}
{{- $source := ternary (printf "configMap %s" $item.configMap) (printf "secret %s" $item.secret) (hasKey $item "configMap") }}
{{- $items := get $sources $source | default list }}
{{- $_ := set $sources $source (append $items (dict "key" $item.key "path" $file)) }}
{{- end }}
- name: config
  projected:
    sources:
      - downwardAPI:
          items:
            - path: config.toml
              fieldRef:
                fieldPath: metadata.annotations['invitation-service/config']
      {{- if and .root.Values.tls.clientCertificates (not .migration) }}
      - configMap:
          name: {{ include "invitation-service.fullname" .root }}-clients
      {{- end }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $source, $items := $sources }}
      - {{ splitList " " $source | first }}:
          name: {{ splitList " " $source | last }}
          items:
            {{- toYaml $items | nindent 12 }}
      {{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Mounts and volumes of a pod that reads all that the service reads: the service itself, and `doctor`. */}}
{{- define "invitation-service.serverVolumeMounts" -}}
{{ include "invitation-service.volumeMounts" . }}
{{- if include "invitation-service.tls" . }}
- name: tls
  mountPath: /run/secrets/invitation-service-tls
  readOnly: true
{{- end }}
{{- end }}

{{- define "invitation-service.serverVolumes" -}}
{{ include "invitation-service.volumes" (dict "root" . "migration" false) | trim }}
{{- if include "invitation-service.tls" . }}
# No change of these rolls the pods: the service reads the files again.
- name: tls
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ include "invitation-service.tlsSecretName" . }}
          items:
            - key: tls.crt
              path: tls.crt
            - key: tls.key
              path: tls.key
      {{- with .Values.tls.clientCa.secretName }}
      - secret:
          name: {{ . }}
          items:
            - key: {{ $.Values.tls.clientCa.key }}
              path: client-ca.crt
      {{- end }}
{{- end }}
{{- end }}
